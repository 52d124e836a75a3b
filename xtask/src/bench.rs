//! `bench`: the benches of the workspace, and comparisons with other caches.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    peers,
    steps::Steps,
    workspace::{Package, Target, Workspace},
};

/// The benches of the workspace.
const STACK: &str = "stack";
/// A short run of all comparisons.
const SMOKE: &str = "smoke";

/// Runs the benches of the workspace, or compares memstache with other caches.
///
/// The first word says which: `stack`, or none, runs the benches, the name of one (`codec`) that one; `memory` compares throughput, latency and bytes per
/// entry; `hit-ratio` compares hit ratios over traces and generators; `cluster` compares with groupcache and with
/// bare frames over TLS; `redis` compares with fred and redis-rs over a Redis that it starts; `smoke` shows in short that those that are
/// quick to build work.
/// `cargo xtask bench memory --help` is the help of a comparison. Words that follow go to each program.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the benches of this package (repeatable)
    #[arg(short, long = "package", value_name = "NAME")]
    packages: Vec<String>,
    /// Only the bench of this name (repeatable)
    #[arg(long = "bench", value_name = "NAME")]
    benches: Vec<String>,
    /// Fewer rounds: enough to see that it works, too few to compare
    #[arg(long)]
    quick: bool,
    /// What to run, and words for it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub(crate) args: Vec<String>,
}

pub(crate) fn run(ws: &Workspace, args: &Args) -> Result<()> {
    let (what, words) = args.what();
    match what {
        STACK => benches(ws, args, words),
        SMOKE => peers::smoke(ws),
        comparison if args.packages.is_empty() && args.benches.is_empty() => {
            let quick = args.quick.then(|| "--quick".to_owned());
            peers::compare(ws, comparison, &quick.into_iter().chain(words.iter().cloned()).collect::<Vec<_>>())
        }
        comparison => bail!("`{comparison}` is no bench of a package: leave out --package and --bench"),
    }
}

impl Args {
    /// What to run, and the words for it.
    fn what(&self) -> (&str, &[String]) {
        let known = |word: &str| word == STACK || word == SMOKE || peers::COMPARISONS.contains(&word);
        match self.args.split_first() {
            Some((what, words)) if known(what) => (what, words),
            _ => (STACK, &self.args),
        }
    }
}

fn benches(ws: &Workspace, args: &Args, words: &[String]) -> Result<()> {
    let packages = ws.select(&args.packages)?;
    let (named, words) = named(&packages, words);
    let benches: Vec<_> = packages.iter().flat_map(|package| chosen(package, args)).collect();
    let benches: Vec<_> =
        benches.into_iter().filter(|(_, bench)| named.is_none_or(|name| bench.name == name)).collect();
    if benches.is_empty() {
        bail!("no bench matches; `cargo bench -p NAME --bench` lists those of a package");
    }
    let mut steps = Steps::new();
    for (package, bench) in benches {
        steps.watch(&format!("{} {}", package.name, bench.name), &mut command(ws, package, bench, args.quick, words));
    }
    steps.finish("bench")
}

/// The bench that the first word names, if it does, and the words for it.
fn named<'a>(packages: &[&Package], words: &'a [String]) -> (Option<&'a str>, &'a [String]) {
    let is_bench = |word: &str| packages.iter().flat_map(|package| package.benches()).any(|bench| bench.name == word);
    match words.split_first() {
        Some((word, rest)) if is_bench(word) => (Some(word), rest),
        _ => (None, words),
    }
}

fn chosen<'a>(package: &'a Package, args: &'a Args) -> impl Iterator<Item = (&'a Package, &'a Target)> {
    let wanted = |bench: &&Target| args.benches.is_empty() || args.benches.contains(&bench.name);
    package.benches().filter(wanted).map(move |bench| (package, bench))
}

fn command(ws: &Workspace, package: &Package, bench: &Target, quick: bool, words: &[String]) -> Command {
    let mut command = ws.cargo(["bench", "--all-features", "-p", &package.name, "--bench", &bench.name, "--"]);
    command.args(quick.then_some("--quick")).args(words);
    command
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf};

    use super::*;
    use crate::process;

    fn package() -> Package {
        let target = |name: &str, kind: &str| Target {
            name: name.to_owned(),
            kind: vec![kind.to_owned()],
            src_path: PathBuf::new(),
        };
        Package {
            name: "x".to_owned(),
            features: BTreeMap::new(),
            dependencies: Vec::new(),
            targets: vec![target("x", "lib"), target("alloc", "bench"), target("speed", "bench")],
        }
    }

    fn args(benches: &[&str]) -> Args {
        let benches = benches.iter().map(|name| (*name).to_owned()).collect();
        Args { packages: Vec::new(), benches, quick: true, args: vec!["--rounds=3".to_owned()] }
    }

    #[test]
    fn all_benches_unless_some_are_named() {
        let names = |args: &Args| chosen(&package(), args).map(|(_, bench)| bench.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&args(&[])), ["alloc", "speed"]);
        assert_eq!(names(&args(&["speed"])), ["speed"]);
    }

    #[test]
    fn a_bench_may_be_the_first_word() {
        let package = package();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (both, other) = (words(&["speed", "--rounds=3"]), words(&["fast", "--rounds=3"]));
        assert_eq!(named(&[&package], &both), (Some("speed"), &both[1..]));
        assert_eq!(named(&[&package], &other), (None, &other[..]));
    }

    #[test]
    fn words_reach_the_bench_program() {
        let ws = Workspace { root: PathBuf::from("/"), target: PathBuf::from("/t"), packages: Vec::new() };
        let package = package();
        let typed = process::describe(&command(&ws, &package, &package.targets[1], true, &args(&[]).args));
        assert!(typed.ends_with("bench --all-features -p x --bench alloc -- --quick --rounds=3"), "{typed}");
    }

    #[test]
    fn the_first_word_says_what_to_run() {
        let what = |words: &[&str]| {
            let args = Args { args: words.iter().map(|word| (*word).to_owned()).collect(), ..args(&[]) };
            let (what, words) = args.what();
            (what.to_owned(), words.len())
        };
        assert_eq!(what(&[]), (STACK.to_owned(), 0));
        assert_eq!(what(&["--rounds=3"]), (STACK.to_owned(), 1));
        assert_eq!(what(&["stack", "--rounds=3"]), (STACK.to_owned(), 1));
        assert_eq!(what(&["memory", "--rounds", "3"]), ("memory".to_owned(), 2));
        assert_eq!(what(&["smoke"]), (SMOKE.to_owned(), 0));
    }
}
