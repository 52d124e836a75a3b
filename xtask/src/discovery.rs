//! The tests of how nodes find each other, with the servers that they find each other by.

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    process,
    servers::{Version, system},
    steps::Steps,
    workspace::Workspace,
};

/// The crate whose tests these are.
pub(crate) const PACKAGE: &str = "memstache-cluster";
/// Its test binary, whose ignored tests need what is installed here.
const TEST: &str = "discovery";
/// Its example, which some of them run.
const NODE: &str = "memstache-node";

/// Installs what they need, and runs them; returns what the runner printed.
pub(crate) fn run(ws: &Workspace, release: bool, steps: &mut Steps) -> Vec<String> {
    let programs = match programs(ws, steps) {
        Ok(programs) => programs,
        Err(err) => {
            steps.fail(TEST, &format!("{err:#}\n     --no-discovery leaves out the tests that need it"));
            return Vec::new();
        }
    };
    // All packages, as for the other tests: nothing is built anew.
    let of_all = ["--workspace", "--all-features"];
    let (mut build, mut command) = (ws.cargo(["build", "--example", NODE]), ws.cargo(["test", "--test", TEST]));
    for command in [&mut build, &mut command] {
        command.args(of_all).args(release.then_some("--release"));
    }
    if !steps.run(&format!("{TEST}: {NODE}"), &mut build) {
        return Vec::new();
    }
    let profile = if release { "release" } else { "debug" };
    command.env("MEMSTACHE_TEST_NODE", ws.target.join(profile).join("examples").join(NODE));
    // Servers and nodes in real time: not too many at once.
    steps.watch(TEST, command.envs(programs).args(["--", "--ignored", "--test-threads", "2"]))
}

/// Programs, by the variables that tell tests of them. Each test starts servers of its own.
fn programs(ws: &Workspace, steps: &mut Steps) -> Result<Vec<(&'static str, PathBuf)>> {
    Ok(vec![
        ("MEMSTACHE_NATS", Version::Nats2.program(ws, steps)?),
        ("MEMSTACHE_NATS_OLD", Version::NatsOld.program(ws, steps)?),
        ("MEMSTACHE_NAMED", Version::Bind9.program(ws, steps)?),
        ("MEMSTACHE_NSUPDATE", system(ws, steps, "nsupdate")?),
        ("MEMSTACHE_KUBECTL", system(ws, steps, "kubectl")?),
        ("MEMSTACHE_KUBE_STUB", process::own_program()?),
        ("MEMSTACHE_PROMTOOL", system(ws, steps, "promtool")?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_is_there() {
        let ws = Workspace::load().unwrap();
        let packages = ws.select(&[PACKAGE.to_owned()]).unwrap();
        let has = |name: &str, kind: &str| packages[0].targets.iter().any(|it| it.name == name && it.kind == [kind]);
        assert!(has(TEST, "test") && has(NODE, "example"));
    }
}
