//! Microsoft's Python SDK judges the emulator over TLS.

use std::{fs, process::Stdio};

use memstache_crypto::emulator::{Emulator, Operation};
use tokio::process::Command;

/// The Python that has the SDK; `cargo xtask test` makes it and sets this.
const PYTHON: &str = "MEMSTACHE_JUDGE_PYTHON";

/// As many as the script has: none was passed over.
const STEPS: &str = "judge: 39 steps passed";

#[tokio::test]
#[ignore = "needs a Python with the Azure SDK: `cargo xtask test` makes one and runs this"]
async fn microsofts_python_sdk_is_content() {
    let python = std::env::var(PYTHON).unwrap_or_else(|_| panic!("{PYTHON} must name a Python with the Azure SDK"));
    let emulator = Emulator::builder().address(([127, 0, 0, 1], 0).into()).tls().start().await.unwrap();
    let certificate = std::env::temp_dir().join(format!("memstache-judge-{}.pem", std::process::id()));
    fs::write(&certificate, emulator.certificate_pem().unwrap()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/judge/judge.py");
    let mut command = Command::new(python);
    command.arg(script).arg(emulator.base_url()).arg(&certificate).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    fs::remove_file(&certificate).unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert_eq!(out.trim(), STEPS, "{err}");
    assert!(emulator.calls().of(Operation::UnwrapKey) > 0 && emulator.calls().challenged() > 0);
}
