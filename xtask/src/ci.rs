//! `ci`: what a change must pass.

use anyhow::{Result, bail};

use crate::{
    lint, matrix, peers,
    steps::Steps,
    test, tools,
    workspace::{DEMO, Workspace},
};

/// Runs what a change must pass: lint, test, the matrix of features, and a short run of the comparisons with other caches,
/// each once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also build every library with each pair of its features, and run the comparisons that take long to build
    #[arg(long)]
    full: bool,
}

pub(crate) fn run(ws: &Workspace, args: &Args) -> Result<()> {
    let mut parts = vec![lint::run(ws, &lint::Args::default())];
    if args.full {
        parts.push(pairs(ws));
    }
    parts.push(test::run(ws, &test::Args::default()));
    parts.push(matrix::run(ws, &matrix::Args {}));
    parts.push(peers::smoke(ws));
    if args.full {
        parts.push(peers::smoke_slow(ws));
    }
    let failed: Vec<_> = parts.into_iter().filter_map(Result::err).map(|err| format!("{err:#}")).collect();
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    Ok(())
}

/// Features that are sound alone can still clash.
fn pairs(ws: &Workspace) -> Result<()> {
    let mut steps = Steps::new();
    let args = ["clippy", "--feature-powerset", "--depth", "2", "--workspace", "--exclude", "xtask", "--exclude", DEMO];
    let mut hack = tools::subcommand(ws, "hack", &args)?;
    steps.run("pairs of features", hack.args(["--", "-D", "warnings"]));
    steps.finish("features")
}
