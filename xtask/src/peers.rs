//! The program under `xtask/peers`, a workspace of its own, that puts memstache beside other caches.

use std::{env, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};

use crate::{
    process,
    servers::{One, Service, Version},
    steps::Steps,
    workspace::Workspace,
};

/// What it compares, each a verb of its own.
pub(crate) const COMPARISONS: [&str; 4] = ["memory", "hit-ratio", CLUSTER, REDIS];

/// The comparisons with what takes long to build: a feature for each, of its name.
const FEATURES: [&str; 2] = [CLUSTER, REDIS];
const CLUSTER: &str = "cluster";
/// It needs a server.
const REDIS: &str = "redis";

/// Quick to build, and good enough to see that it works.
const SMOKE: [&str; 2] = ["--profile", "smoke"];

/// What that comparison runs over.
const SERVER: (Service, Version) = (Service::Redis, Version::Redis7);
/// Of no consequence to a single server.
const PATIENCE: Duration = Duration::from_secs(1);

/// Becomes the program, built as a service would build it.
pub(crate) fn compare(ws: &Workspace, comparison: &str, words: &[String]) -> Result<()> {
    if comparison == REDIS {
        return over_redis(ws, words);
    }
    let mut command = program(ws, &["--release"], comparison);
    command.args(run(ws, comparison, words));
    // Files named in the words are meant from where the caller stands.
    process::take_over(command.current_dir(env::current_dir()?))
}

/// Starts a server for the program, and ends it afterwards.
fn over_redis(ws: &Workspace, words: &[String]) -> Result<()> {
    let mut command = program(ws, &["--release"], REDIS);
    command.args(run(ws, REDIS, words)).current_dir(env::current_dir()?);
    if words.iter().any(|word| word == "--help" || word == "--url" || word.starts_with("--url=")) {
        return process::take_over(&mut command);
    }
    let one = One::start(ws, &mut Steps::new(), SERVER, PATIENCE)?;
    let ended = command.args(["--url", &one.state.url]).status();
    one.end()?;
    let status = ended.context("cargo could not be started")?;
    if !status.success() {
        bail!("the comparison ended with an error ({status})");
    }
    Ok(())
}

/// Its tests, and a short run of each comparison but those that take long to build.
pub(crate) fn smoke(ws: &Workspace) -> Result<()> {
    let mut steps = Steps::new();
    steps.run("peers: tests", &mut cargo(ws, "test", &SMOKE));
    for comparison in COMPARISONS.into_iter().filter(|comparison| !FEATURES.contains(comparison)) {
        let mut command = program(ws, &SMOKE, comparison);
        command.args(run(ws, comparison, &["--quick".to_owned()]));
        steps.run(&format!("peers: {comparison}"), &mut command);
    }
    steps.finish("smoke")
}

/// The tests and a short run of the comparisons that take long to build.
pub(crate) fn smoke_slow(ws: &Workspace) -> Result<()> {
    let mut steps = Steps::new();
    for feature in FEATURES {
        let name = format!("peers, {feature}: tests");
        steps.run(&name, cargo(ws, "test", &SMOKE).args(["--features", feature, feature]));
    }
    let mut command = program(ws, &SMOKE, CLUSTER);
    steps.run("peers: cluster", command.args(run(ws, CLUSTER, &["--quick".to_owned()])));
    match One::start(ws, &mut steps, SERVER, PATIENCE) {
        Ok(one) => {
            let words = ["--quick".to_owned(), "--url".to_owned(), one.state.url.clone()];
            let mut command = program(ws, &SMOKE, REDIS);
            steps.run("peers: redis", command.args(run(ws, REDIS, &words)));
            steps.check("server: end", || one.end());
        }
        Err(err) => steps.fail("server", &format!("{err:#}")),
    }
    steps.finish("slow smoke")
}

/// What can be said about its code.
pub(crate) fn lint(ws: &Workspace, steps: &mut Steps) {
    let mut clippy = cargo(ws, "clippy", &SMOKE);
    steps.run("peers: clippy", clippy.args(["--all-targets", "--all-features", "--", "-D", "warnings"]));
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

/// The program, with what a comparison needs.
fn program(ws: &Workspace, options: &[&str], comparison: &str) -> Command {
    let mut command = cargo(ws, "run", options);
    if FEATURES.contains(&comparison) {
        command.args(["--features", comparison]);
    }
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
    fn comparisons_bring_the_feature_that_they_need() {
        for comparison in COMPARISONS {
            let typed = process::describe(&program(&ws(), &SMOKE, comparison));
            assert_eq!(typed.ends_with(&format!("--features {comparison}")), FEATURES.contains(&comparison), "{typed}");
        }
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
