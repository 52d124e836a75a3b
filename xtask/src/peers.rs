//! The program under `xtask/peers`, a workspace of its own, that puts memstache beside other caches.

use std::{env, path::PathBuf, process::Command};

use anyhow::Result;

use crate::{process, steps::Steps, workspace::Workspace};

/// What it compares, each a verb of its own.
pub(crate) const COMPARISONS: [&str; 2] = ["memory", "hit-ratio"];

/// Quick to build, and good enough to see that it works.
const SMOKE: [&str; 2] = ["--profile", "smoke"];

/// Becomes the program, built as a service would build it.
pub(crate) fn compare(ws: &Workspace, comparison: &str, words: &[String]) -> Result<()> {
    let mut command = cargo(ws, "run", &["--release"]);
    command.args(run(ws, comparison, words));
    // Files named in the words are meant from where the caller stands.
    process::take_over(command.current_dir(env::current_dir()?))
}

/// Its tests, and a short run of each comparison.
pub(crate) fn smoke(ws: &Workspace) -> Result<()> {
    let mut steps = Steps::new();
    steps.run("peers: tests", &mut cargo(ws, "test", &SMOKE));
    for comparison in COMPARISONS {
        let mut command = cargo(ws, "run", &SMOKE);
        command.args(run(ws, comparison, &["--quick".to_owned()]));
        steps.run(&format!("peers: {comparison}"), &mut command);
    }
    steps.finish("smoke")
}

/// What can be said about its code.
pub(crate) fn lint(ws: &Workspace, steps: &mut Steps) {
    let mut clippy = cargo(ws, "clippy", &SMOKE);
    steps.run("peers: clippy", clippy.args(["--all-targets", "--", "-D", "warnings"]));
}

pub(crate) fn manifest(ws: &Workspace) -> PathBuf {
    ws.root.join("xtask").join("peers").join("Cargo.toml")
}

/// A cargo command over its manifest; what it builds lies beside what the workspace builds.
fn cargo(ws: &Workspace, verb: &str, options: &[&str]) -> Command {
    let mut command = ws.cargo([verb, "--locked", "--manifest-path"]);
    command.arg(manifest(ws)).arg("--target-dir").arg(&ws.target).args(options);
    command
}

/// Its words, with where things are unless the caller says so.
fn run(ws: &Workspace, comparison: &str, words: &[String]) -> Vec<String> {
    let mut out = vec!["--".to_owned(), comparison.to_owned()];
    let mut place = |option: &str, path: PathBuf| {
        if !words.iter().any(|word| word == option || word.starts_with(&format!("{option}="))) {
            out.extend([option.to_owned(), path.display().to_string()]);
        }
    };
    place("--out", ws.target.join("bench"));
    if comparison == "hit-ratio" {
        place("--folder", ws.root.join("../shared/traces"));
    }
    out.extend(words.iter().cloned());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ws() -> Workspace {
        Workspace { root: PathBuf::from("/w"), target: PathBuf::from("/t"), packages: Vec::new() }
    }

    #[test]
    fn places_are_told_unless_they_are_named() {
        assert_eq!(run(&ws(), "memory", &["--quick".to_owned()]), ["--", "memory", "--out", "/t/bench", "--quick"]);
        let words = ["--out=here".to_owned(), "--folder".to_owned(), "there".to_owned()];
        assert_eq!(run(&ws(), "hit-ratio", &words), ["--", "hit-ratio", "--out=here", "--folder", "there"]);
    }

    #[test]
    fn the_manifest_is_given() {
        let typed = process::describe(&cargo(&ws(), "test", &SMOKE));
        assert!(
            typed.ends_with("test --locked --manifest-path /w/xtask/peers/Cargo.toml --target-dir /t --profile smoke"),
            "{typed}"
        );
    }
}
