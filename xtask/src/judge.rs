//! Microsoft's Python SDK judges the Key Vault emulator.

use crate::{steps::Steps, wheels::Environment, workspace::Workspace};

/// The crate that has the emulator.
pub(crate) const CRYPTO: &str = "memstache-crypto";

/// The pinned SDK.
const PINS: &str = include_str!("../judge.txt");

/// Installs the SDK and runs the test that is ignored without it; returns what the runner printed.
pub(crate) fn run(ws: &Workspace, release: bool, steps: &mut Steps) -> Vec<String> {
    let home = ws.target.join("judge");
    let sdk = Environment { name: "Azure's Python SDK", home, pins: PINS, file: "xtask/judge.txt" };
    if !sdk.make(ws, steps) {
        steps.fail("judge", "it needs Python 3 with its venv module, and PyPI; --no-judge leaves it out");
        return Vec::new();
    }
    // All packages, as for the tests: nothing is built anew.
    let mut command = ws.cargo(["test", "--workspace", "--all-features", "--test", "judge"]);
    if release {
        command.arg("--release");
    }
    steps.watch("judge", command.args(["--", "--ignored"]).env("MEMSTACHE_JUDGE_PYTHON", sdk.program("python")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_is_pinned_and_hashed() {
        crate::wheels::tests::assert_pinned(PINS, 3);
        assert!(PINS.contains("azure-keyvault-secrets==") && PINS.contains("azure-keyvault-keys=="));
    }
}
