//! What `cargo metadata` says about the workspace, and commands that run in it.

use std::{
    collections::BTreeMap,
    env,
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// The crate that every other crate of the workspace stands on.
pub(crate) const CORE: &str = "memstache-core";
/// The demo under `xtask/`, a program and not one of the library crates.
pub(crate) const DEMO: &str = "memstache-demo";

/// The workspace as cargo sees it.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// One line of a package's dependencies.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` is a normal dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// `*` when the manifest gives no version.
    pub(crate) req: String,
}

/// A library, program, test or bench of a package.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
    pub(crate) src_path: PathBuf,
}

impl Workspace {
    /// Asks cargo; needs no network, since dependencies are not resolved.
    pub(crate) fn load() -> Result<Self> {
        let output = Command::new(cargo_path())
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .output()
            .context("cargo could not be started")?;
        if !output.status.success() {
            bail!("cargo metadata failed\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
        }
        Self::parse(&output.stdout)
    }

    fn parse(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).context("the output of cargo metadata is not as expected")
    }

    /// A cargo command that runs in the root of the workspace, with the cargo that runs us.
    pub(crate) fn cargo<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.command(cargo_path());
        command.args(args);
        command
    }

    /// Any command that runs in the root of the workspace.
    pub(crate) fn command(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = Command::new(program.into());
        command.current_dir(&self.root);
        if io::stdout().is_terminal() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        command
    }

    /// The packages of these names, or all; a name that nothing has is an error.
    pub(crate) fn select(&self, names: &[String]) -> Result<Vec<&Package>> {
        if names.is_empty() {
            return Ok(self.packages.iter().collect());
        }
        names.iter().map(|name| self.package(name)).collect()
    }

    fn package(&self, name: &str) -> Result<&Package> {
        self.packages.iter().find(|package| package.name == name).with_context(|| {
            let known: Vec<_> = self.packages.iter().map(|package| package.name.as_str()).collect();
            format!("there is no package `{name}`; there are {}", known.join(", "))
        })
    }
}

impl Package {
    pub(crate) fn library(&self) -> Option<&Target> {
        self.targets.iter().find(|target| target.kind.iter().any(|kind| kind == "lib"))
    }

    pub(crate) fn benches(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().filter(|target| target.kind.iter().any(|kind| kind == "bench"))
    }
}

/// `-p NAME` for each name, or `--workspace` for none.
pub(crate) fn selection(names: &[String]) -> Vec<&str> {
    if names.is_empty() {
        return vec!["--workspace"];
    }
    names.iter().flat_map(|name| ["-p", name]).collect()
}

fn cargo_path() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{
        "workspace_root": "/w", "target_directory": "/t", "packages": [{
            "name": "memstache-core",
            "features": {"default": ["json"], "json": ["dep:serde_json"]},
            "dependencies": [{"name": "bytes", "kind": null, "req": "^1"}, {"name": "tower", "kind": "dev", "req": "*"}],
            "targets": [
                {"name": "memstache_core", "kind": ["lib"], "src_path": "/w/memstache-core/src/lib.rs"},
                {"name": "alloc", "kind": ["bench"], "src_path": "/w/memstache-core/benches/alloc.rs"}]
        }]}"#;

    #[test]
    fn metadata_is_understood() {
        let ws = Workspace::parse(JSON.as_bytes()).unwrap();
        let core = &ws.packages[0];
        assert_eq!(core.library().unwrap().name, "memstache_core");
        assert_eq!(core.benches().map(|bench| bench.name.as_str()).collect::<Vec<_>>(), ["alloc"]);
        assert_eq!(core.dependencies[1].kind.as_deref(), Some("dev"));
    }

    #[test]
    fn an_unknown_package_is_named_with_those_there_are() {
        let ws = Workspace::parse(JSON.as_bytes()).unwrap();
        let err = ws.select(&["memstache-cor".to_owned()]).unwrap_err().to_string();
        assert_eq!(err, "there is no package `memstache-cor`; there are memstache-core");
    }

    #[test]
    fn selection_is_the_workspace_or_names() {
        assert_eq!(selection(&[]), ["--workspace"]);
        assert_eq!(selection(&["a".to_owned(), "b".to_owned()]), ["-p", "a", "-p", "b"]);
    }
}
