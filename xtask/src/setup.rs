//! `setup`: installs the tools that the other verbs call, or says how to.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::{
    process,
    screen::say,
    steps::Steps,
    tools::{self, TOOLS, Tool},
    wheels::Environment,
    workspace::Workspace,
};

/// Pinned wheels with hashes.
const WHEELS: &str = include_str!("../tools.txt");

/// Installs the tools that the other verbs call, or says how to.
///
/// What comes from the system is installed by apt when this runs as root on Debian or its kin. Cargo's helpers are pinned
/// wheels in a Python environment under the target folder. A second run finds everything in place and does nothing.
///
/// Ends with an error if a tool without which `cargo xtask ci` cannot pass is still missing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only say what is there and what is missing; install nothing
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(ws: &Workspace, args: &Args) -> Result<()> {
    if !args.check {
        let mut steps = Steps::new();
        system(ws, &mut steps, |_| true);
        wheels(ws, &mut steps);
        // Not a reason to stop: the list says what that leaves missing.
        if steps.finish("install").is_err() {
            say("not everything could be installed; what is there now:");
        }
    }
    report(ws, args.check)
}

/// Installs this one, if it comes from the system and is missing.
pub(crate) fn install(ws: &Workspace, steps: &mut Steps, program: &str) {
    system(ws, steps, |tool| tool.program == program);
}

/// Installs what the system lacks, as root; else says what to type.
fn system(ws: &Workspace, steps: &mut Steps, wanted: impl Fn(&Tool) -> bool) {
    let missing = TOOLS.iter().filter(|tool| wanted(tool) && locate(ws, tool).is_none());
    let missing: Vec<_> = missing.filter_map(|tool| tool.apt).collect();
    if missing.is_empty() {
        return;
    }
    let list = missing.join(" ");
    if !is_root() || tools::on_path("apt-get").is_none() {
        steps.skip("apt", &format!("needs root on Debian or its kin; type: sudo apt-get install {list}"));
        return;
    }
    steps.run("apt update", Command::new("apt-get").args(["update", "-q"]));
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive").args(["install", "-q", "-y", "--no-install-recommends"]);
    steps.run("apt install", install.args(missing));
}

/// Installs the pinned wheels, unless these very pins are installed already.
fn wheels(ws: &Workspace, steps: &mut Steps) {
    let home = tools::home(ws);
    Environment { name: "pinned tools", home, pins: WHEELS, file: "xtask/tools.txt" }.make(ws, steps);
}

/// Prints one line a tool.
fn report(ws: &Workspace, check: bool) -> Result<()> {
    let mut lacking = Vec::new();
    for tool in TOOLS {
        let found = locate(ws, tool);
        say(line(tool, found.as_deref()));
        if found.is_none() && tool.required {
            lacking.push(tool.program);
        }
    }
    if !lacking.is_empty() {
        let cure = if check { "; `cargo xtask setup` installs what it can" } else { "" };
        bail!("required and missing: {}{cure}", lacking.join(", "));
    }
    say("everything that is required is there");
    Ok(())
}

fn line(tool: &Tool, found: Option<&Path>) -> String {
    let Tool { program, why, required, by_hand, apt } = tool;
    let Some(found) = found else {
        let state = if *required { "MISSING" } else { "absent" };
        let or_apt = apt.map(|package| format!(" (apt-get install {package})")).unwrap_or_default();
        return format!("{state:<8}{program:<14} {why}\n{:<23}to get it: {by_hand}{or_apt}", "");
    };
    format!("{:<8}{program:<14} {why}: {}", "ok", found.display())
}

/// The tool, if it does what it is needed for: Debian's Python may come without the modules that we need.
fn locate(ws: &Workspace, tool: &Tool) -> Option<PathBuf> {
    if tool.program != "python3" {
        return tools::find(ws, tool.program);
    }
    let python = tools::on_path(tool.program)?;
    let modules = process::run(Command::new(&python).args(["-c", "import ensurepip, venv"]), |_| ());
    modules.is_ok_and(|ended| ended.success).then_some(python)
}

fn is_root() -> bool {
    process::run(Command::new("id").arg("-u"), |_| ()).is_ok_and(|ended| ended.lines == ["0"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wheel_is_pinned_and_hashed() {
        crate::wheels::tests::assert_pinned(WHEELS, 4);
    }

    #[test]
    fn a_missing_tool_comes_with_its_cure() {
        let tool = &TOOLS[0];
        let text = line(tool, None);
        assert!(
            text.starts_with("MISSING") && text.contains(tool.by_hand) && text.contains("apt-get install"),
            "{text}"
        );
        assert!(line(tool, Some(Path::new("/usr/bin/cc"))).ends_with("/usr/bin/cc"));
    }
}
