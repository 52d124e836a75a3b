//! `bench`: the benches of the workspace.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    steps::Steps,
    workspace::{Package, Target, Workspace},
};

/// Runs the benches of the workspace.
///
/// Words after the options go to each bench program.
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
    /// Words for the bench programs
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

pub(crate) fn run(ws: &Workspace, args: &Args) -> Result<()> {
    let packages = ws.select(&args.packages)?;
    let benches: Vec<_> = packages.iter().flat_map(|package| chosen(package, args)).collect();
    if benches.is_empty() {
        bail!("no bench matches; `cargo bench -p NAME --bench` lists those of a package");
    }
    let mut steps = Steps::new();
    for (package, bench) in benches {
        steps.watch(&format!("{} {}", package.name, bench.name), &mut command(ws, package, bench, args));
    }
    steps.finish("bench")
}

fn chosen<'a>(package: &'a Package, args: &'a Args) -> impl Iterator<Item = (&'a Package, &'a Target)> {
    let wanted = |bench: &&Target| args.benches.is_empty() || args.benches.contains(&bench.name);
    package.benches().filter(wanted).map(move |bench| (package, bench))
}

fn command(ws: &Workspace, package: &Package, bench: &Target, args: &Args) -> Command {
    let mut command = ws.cargo(["bench", "--all-features", "-p", &package.name, "--bench", &bench.name, "--"]);
    command.args(args.quick.then_some("--quick")).args(&args.args);
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
    fn words_reach_the_bench_program() {
        let ws = Workspace { root: PathBuf::from("/"), target: PathBuf::from("/t"), packages: Vec::new() };
        let package = package();
        let typed = process::describe(&command(&ws, &package, &package.targets[1], &args(&[])));
        assert!(typed.ends_with("bench --all-features -p x --bench alloc -- --quick --rounds=3"), "{typed}");
    }
}
