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
