//! `lint`: everything that can be said about the code without running it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{
    features, peers,
    steps::Steps,
    tidy, tools,
    workspace::{Package, Workspace, selection},
};

/// Names the folder of a copy of the RustSec advisory database.
const DATABASE: &str = "MEMSTACHE_ADVISORY_DB";

/// Checks everything that can be checked without running the code.
///
/// Formatting, clippy and docs without warnings, each crate and each feature built alone, the rules of the house (see
/// `tidy`), spelling, licences and sources of dependencies, and known vulnerabilities if a copy of the RustSec advisory
/// database is found in the folder named by MEMSTACHE_ADVISORY_DB, or in ../shared/advisory-db beside the workspace.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Compile only this package (repeatable); what does not compile anything looks at everything all the same
    #[arg(short, long = "package", value_name = "NAME")]
    packages: Vec<String>,
    /// Leave out what takes long: builds of each crate and each feature alone, clippy of the comparisons with other caches
    #[arg(long)]
    brief: bool,
    /// Leave out everything that compiles, clippy and docs too
    #[arg(long, conflicts_with_all = ["packages", "brief"])]
    no_compile: bool,
}

pub(crate) fn run(ws: &Workspace, args: &Args) -> Result<()> {
    let mut packages = ws.select(&args.packages)?;
    if args.brief {
        packages.clear();
    }
    let mut steps = Steps::new();
    steps.run("format", &mut ws.cargo(["fmt", "--all", "--", "--check"]));
    steps.run("peers: format", ws.cargo(["fmt", "--manifest-path"]).arg(peers::manifest(ws)).args(["--", "--check"]));
    steps.check("tidy", || tidy::check(ws));
    tool(&mut steps, "spelling", tools::require(ws, "typos").map(|typos| ws.command(typos)));
    dependencies(ws, &mut steps);
    if args.no_compile {
        steps.skip("clippy, docs, each crate and feature alone", "--no-compile was given");
        return steps.finish("lint");
    }
    compile(ws, &args.packages, &packages, &mut steps);
    if args.packages.is_empty() && !args.brief {
        peers::lint(ws, &mut steps);
    }
    steps.finish("lint")
}

/// What may be depended on.
fn dependencies(ws: &Workspace, steps: &mut Steps) {
    let deny = ["--log-level", "error", "check", "bans", "licenses", "sources"];
    tool(steps, "licences and sources", tools::subcommand(ws, "deny", &deny));
    let of_peers = tools::subcommand(ws, "deny", &["--manifest-path"]).map(|mut of_peers| {
        of_peers.arg(peers::manifest(ws)).args(deny);
        of_peers
    });
    tool(steps, "peers: licences and sources", of_peers);
    match database(env::var_os(DATABASE).map(PathBuf::from), &ws.root) {
        Ok(folder) => {
            let args = ["--no-fetch", "--stale", "--db"];
            let audit = tools::subcommand(ws, "audit", &args).map(|mut audit| {
                audit.arg(folder);
                audit
            });
            tool(steps, "advisories", audit);
        }
        Err(missing) => steps.skip("advisories", &missing),
    }
}

/// What only a compiler can tell.
fn compile(ws: &Workspace, names: &[String], packages: &[&Package], steps: &mut Steps) {
    let everything: Vec<_> = selection(names).into_iter().chain(["--all-features"]).collect();
    let mut clippy = ws.cargo(["clippy", "--all-targets"]);
    let sound = steps.run("clippy", clippy.args(&everything).args(["--", "-D", "warnings"]));
    let mut doc = ws.cargo(["doc", "--no-deps"]);
    steps.run("docs", doc.args(&everything).env("RUSTDOCFLAGS", "-D warnings"));
    if !sound {
        // Else the same complaints would come once a feature.
        steps.skip("each crate and feature alone", "clippy must pass first");
        return;
    }
    // Clippy and not check: it compares to check in time, and can refuse warnings without building dependencies anew.
    for alone in packages.iter().flat_map(|package| features::alone(package)) {
        let mut clippy = ws.cargo(["clippy"]);
        steps.run(&alone.name, clippy.args(&alone.args).args(["--", "-D", "warnings"]));
    }
}

/// Runs a tool, or fails the step if it is missing.
fn tool(steps: &mut Steps, name: &str, command: Result<Command>) {
    match command {
        Ok(mut command) => {
            steps.run(name, &mut command);
        }
        Err(err) => steps.fail(name, &format!("{err:#}")),
    }
}

/// The folder of the advisories, or why there is none.
fn database(named: Option<PathBuf>, root: &Path) -> Result<PathBuf, String> {
    let folder = named.unwrap_or_else(|| root.join("../shared/advisory-db"));
    if folder.join("crates").is_dir() {
        return Ok(folder);
    }
    Err(format!("no RustSec advisory database in {} (name a copy in {DATABASE})", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_database_is_said_with_where_it_was_sought() {
        let reason = database(Some(PathBuf::from("/memstache/nowhere")), Path::new("/")).unwrap_err();
        assert!(reason.contains("/memstache/nowhere") && reason.contains(DATABASE), "{reason}");
        let reason = database(None, Path::new("/memstache/main")).unwrap_err();
        assert!(reason.contains("shared/advisory-db"), "{reason}");
    }

    #[test]
    fn a_missing_tool_fails_its_step() {
        let mut steps = Steps::new();
        tool(&mut steps, "spelling", Err(anyhow::anyhow!("typos is missing")));
        assert!(steps.finish("lint").is_err());
    }
}
