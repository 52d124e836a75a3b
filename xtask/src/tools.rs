//! The tools that the verbs call, why they are needed, and where they are found.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{wheels, workspace::Workspace};

/// A program that is not part of the workspace.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    pub(crate) why: &'static str,
    /// Without a required tool, `cargo xtask ci` cannot pass.
    pub(crate) required: bool,
    /// What to type when setup could not install it.
    pub(crate) by_hand: &'static str,
    /// Debian's package, for what comes from the system.
    pub(crate) apt: Option<&'static str>,
}

/// Every tool that setup looks after, in the order in which it is told.
pub(crate) const TOOLS: &[Tool] = &[
    Tool {
        program: "cc",
        why: "links programs, and compiles the SQLite of the demo",
        required: true,
        by_hand: "install a C compiler",
        apt: Some("build-essential"),
    },
    Tool {
        program: "python3",
        why: "installs the pinned tools below",
        required: false,
        by_hand: "install Python 3 with its venv module",
        apt: Some("python3-venv"),
    },
    Tool {
        program: "cargo-fmt",
        why: "lint: formatting",
        required: true,
        by_hand: "rustup component add rustfmt",
        apt: None,
    },
    Tool {
        program: "cargo-clippy",
        why: "lint: clippy",
        required: true,
        by_hand: "rustup component add clippy",
        apt: None,
    },
    Tool {
        program: "cargo-deny",
        why: "lint: bans, licences, sources",
        required: true,
        by_hand: "cargo install --locked cargo-deny",
        apt: None,
    },
    Tool {
        program: "cargo-audit",
        why: "lint: known vulnerabilities",
        required: true,
        by_hand: "cargo install --locked cargo-audit",
        apt: None,
    },
    Tool {
        program: "typos",
        why: "lint: spelling",
        required: true,
        by_hand: "cargo install --locked typos-cli",
        apt: None,
    },
    Tool {
        program: "cargo-nextest",
        why: "test: one process a test (else cargo test)",
        required: false,
        by_hand: "cargo install --locked cargo-nextest",
        apt: None,
    },
    Tool {
        program: "promtool",
        why: "test: checks the text that Prometheus reads",
        required: false,
        by_hand: "install Prometheus",
        apt: Some("prometheus"),
    },
    Tool {
        program: "chromium",
        why: "test: the browser that opens the admin page",
        required: false,
        by_hand: "install Chromium",
        apt: Some("chromium"),
    },
    Tool {
        program: "chromedriver",
        why: "test: drives the browser",
        required: false,
        by_hand: "install Chromium's driver",
        apt: Some("chromium-driver"),
    },
    Tool {
        program: "slowhttptest",
        why: "test: slow clients of the admin endpoints",
        required: false,
        by_hand: "install slowhttptest",
        apt: Some("slowhttptest"),
    },
    Tool {
        program: "redis-server",
        why: "test: the servers of memstache-redis",
        required: true,
        by_hand: "install Redis 7, or leave its tests out with --no-redis",
        apt: Some("redis-server"),
    },
    Tool {
        program: "nats-server",
        why: "test: discovery by NATS, an old one",
        required: false,
        by_hand: "install NATS, or leave its tests out with --no-discovery",
        apt: Some("nats-server"),
    },
    Tool {
        program: "named",
        why: "test: discovery by DNS",
        required: false,
        by_hand: "install BIND 9, or leave its tests out with --no-discovery",
        apt: Some("bind9"),
    },
    Tool {
        program: "nsupdate",
        why: "test: discovery by DNS, changes of a zone",
        required: false,
        by_hand: "install the utilities of BIND 9, or leave its tests out with --no-discovery",
        apt: Some("bind9-dnsutils"),
    },
    Tool {
        program: "kubectl",
        why: "test: discovery by Kubernetes, judges our stub of its API server",
        required: false,
        by_hand: "install kubectl, or leave its tests out with --no-discovery",
        apt: Some("kubernetes-client"),
    },
    Tool {
        program: "cargo-hack",
        why: "ci --full: pairs of features",
        required: false,
        by_hand: "cargo install --locked cargo-hack",
        apt: None,
    },
];

/// Where setup installs what it can: a Python environment under the target folder.
pub(crate) fn home(ws: &Workspace) -> PathBuf {
    ws.target.join("tools")
}

/// Programs of [`home`].
pub(crate) fn bin(ws: &Workspace) -> PathBuf {
    wheels::bin(&home(ws))
}

/// The tool if it is there and starts: the pinned one first, then the one on the path.
pub(crate) fn find(ws: &Workspace, program: &str) -> Option<PathBuf> {
    in_folder(&bin(ws), program).or_else(|| on_path(program))
}

/// The tool as the system has it; so an environment is never made by its own Python.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).find_map(|folder| in_folder(&folder, program))
}

/// The tool, or an error that says which verb installs it.
pub(crate) fn require(ws: &Workspace, program: &str) -> Result<PathBuf> {
    find(ws, program).with_context(|| format!("{program} is missing; `cargo xtask setup` installs it, or says how"))
}

/// A command of a cargo subcommand that is no part of cargo, such as `cargo-deny`.
pub(crate) fn subcommand(ws: &Workspace, name: &str, args: &[&str]) -> Result<Command> {
    let mut command = ws.command(require(ws, &format!("cargo-{name}"))?);
    command.arg(name).args(args);
    Ok(command)
}

fn in_folder(folder: &Path, program: &str) -> Option<PathBuf> {
    let file = folder.join(program).with_extension(env::consts::EXE_EXTENSION);
    (file.is_file() && starts(&file, program)).then_some(file)
}

/// Being there is not enough: rustup leaves proxies for components that are not installed.
fn starts(file: &Path, program: &str) -> bool {
    let ask = |args: &[&str]| Command::new(file).args(args).stdin(Stdio::null()).output().ok();
    let run = |args: &[&str]| ask(args).is_some_and(|told| told.status.success());
    // Each names its version in its own way. Some helpers of cargo answer only when called as cargo calls them.
    let asked: [&[&str]; 3] = [&["--version"], &["-V"], &["version", "--client"]];
    asked.into_iter().any(run)
        || program.strip_prefix("cargo-").is_some_and(|name| run(&[name, "--version"]))
        // slowhttptest names no version, and says how it is used with a failure.
        || ask(&["-h"]).is_some_and(|told| {
            let usage = format!("Usage: {program}");
            [told.stdout, told.stderr].iter().any(|text| String::from_utf8_lossy(text).contains(&usage))
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_tool_is_listed_once() {
        let programs: BTreeSet<_> = TOOLS.iter().map(|tool| tool.program).collect();
        assert_eq!(programs.len(), TOOLS.len());
    }

    #[test]
    fn a_file_that_is_no_program_does_not_start() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(in_folder(folder, "Cargo.toml"), None);
        assert_eq!(in_folder(folder, "src"), None);
        assert_eq!(in_folder(folder, "memstache-no-such-program"), None);
    }

    #[cfg(unix)]
    #[test]
    fn who_only_tells_how_it_is_used_starts_and_who_tells_nothing_does_not() {
        use std::{fs, os::unix::fs::PermissionsExt as _};

        let folder = env::temp_dir().join(format!("memstache-tools-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let scripts = [("tells", "[ \"$1\" = -h ] && echo Usage: tells it; exit 1"), ("fails", "echo no; exit 1")];
        for (name, script) in scripts {
            let file = folder.join(name);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let found = ["tells", "fails"].map(|name| in_folder(&folder, name).is_some());
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, [true, false]);
    }
}
