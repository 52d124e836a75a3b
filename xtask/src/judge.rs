//! What others wrote judges what we send: Microsoft's Python SDK the Key Vault emulator, a collector and Prometheus' own tool
//! the telemetry, a browser the admin page.

use std::process::Command;

use crate::{steps::Steps, tools, wheels::Environment, workspace::Workspace};

/// The pinned SDK.
const SDK: &str = include_str!("../judge.txt");

/// The pinned collector.
const COLLECTOR: &str = include_str!("../rotel.txt");

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judge {
    /// The crates that are judged, each with its test binary, whose ignored tests need what is installed here.
    judged: &'static [(&'static str, &'static str)],
    /// Of the step.
    pub(crate) name: &'static str,
    wheels: Option<Wheels>,
    /// Tools of the system, and under which names the test is told of them.
    tools: &'static [(&'static str, &'static str)],
}

/// A Python environment that a judge needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wheels {
    /// For people: what is installed.
    installs: &'static str,
    pins: &'static str,
    file: &'static str,
    /// Under which the test is told of the environment's Python.
    python: &'static str,
}

/// All of them.
pub(crate) const JUDGES: &[Judge] = &[
    Judge {
        judged: &[("memstache-crypto", "judge")],
        name: "judge",
        wheels: Some(Wheels {
            installs: "Azure's Python SDK",
            pins: SDK,
            file: "xtask/judge.txt",
            python: "MEMSTACHE_JUDGE_PYTHON",
        }),
        tools: &[],
    },
    Judge {
        judged: &[("memstache-core", "observe"), ("memstache-demo", "program")],
        name: "telemetry",
        wheels: Some(Wheels {
            installs: "the collector rotel",
            pins: COLLECTOR,
            file: "xtask/rotel.txt",
            python: "MEMSTACHE_ROTEL_PYTHON",
        }),
        tools: &[("promtool", "MEMSTACHE_PROMTOOL")],
    },
    Judge {
        judged: &[("memstache-cluster", "admin")],
        name: "admin page",
        wheels: None,
        tools: &[
            ("promtool", "MEMSTACHE_PROMTOOL"),
            ("chromium", "MEMSTACHE_CHROMIUM"),
            ("chromedriver", "MEMSTACHE_CHROMEDRIVER"),
            ("slowhttptest", "MEMSTACHE_SLOWHTTPTEST"),
        ],
    },
];

impl Judge {
    /// Installs what it needs and runs the tests that are ignored without it; returns what the runner printed.
    pub(crate) fn run(&self, ws: &Workspace, release: bool, steps: &mut Steps) -> Vec<String> {
        // All packages, as for the tests: nothing is built anew.
        let mut command = ws.cargo(["test", "--workspace", "--all-features"]);
        command.args(self.judged.iter().flat_map(|(_, test)| ["--test", test]));
        if release {
            command.arg("--release");
        }
        let Some(command) = self.equip(ws, &mut command, steps) else { return Vec::new() };
        steps.watch(self.name, command.args(["--", "--ignored"]))
    }

    /// Tells a command where everything is; `None` if something is missing, which is a failed step.
    fn equip<'a>(&self, ws: &Workspace, command: &'a mut Command, steps: &mut Steps) -> Option<&'a mut Command> {
        if let Some(Wheels { installs, pins, file, python }) = self.wheels {
            let home = ws.target.join(file.trim_start_matches("xtask/").trim_end_matches(".txt"));
            let environment = Environment { name: installs, home, pins, file };
            if !environment.make(ws, steps) {
                steps.fail(self.name, "it needs Python 3 with its venv module, and PyPI; --no-judge leaves it out");
                return None;
            }
            command.env(python, environment.program("python"));
        }
        for (tool, variable) in self.tools {
            let Ok(path) = tools::require(ws, tool) else {
                steps.fail(
                    self.name,
                    &format!("{tool} is missing; `cargo xtask setup` installs it; --no-judge leaves it out"),
                );
                return None;
            };
            command.env(variable, path);
        }
        Some(command)
    }

    /// Whether it judges one of these packages; all if none is named.
    pub(crate) fn judges(&self, packages: &[String]) -> bool {
        packages.is_empty() || self.judged.iter().any(|(package, _)| packages.iter().any(|name| name == package))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_pinned_and_hashed() {
        crate::wheels::tests::assert_pinned(SDK, 3);
        assert!(SDK.contains("azure-keyvault-secrets==") && SDK.contains("azure-keyvault-keys=="));
        crate::wheels::tests::assert_pinned(COLLECTOR, 1);
    }

    #[test]
    fn every_judge_has_its_test() {
        let ws = Workspace::load().unwrap();
        for (package, test) in JUDGES.iter().flat_map(|judge| judge.judged) {
            let packages = ws.select(&[(*package).to_owned()]).unwrap();
            let mut targets = packages[0].targets.iter();
            assert!(targets.any(|target| target.name == *test && target.kind == ["test"]), "{package} {test}");
        }
    }
}
