//! `matrix`: what a build with some features wrote, builds with others read.

use std::{ffi::OsStr, fs, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    features::{Alone, alone},
    steps::Steps,
    workspace::{Package, Workspace},
};

/// The package whose features decide what can be read.
const CODEC: &str = "memstache-codec";
/// The folder that its test writes to and reads from.
const FOLDER: &str = "MEMSTACHE_MATRIX";
/// Under which name it writes; without it, it reads what all have written.
const WRITER: &str = "MEMSTACHE_MATRIX_WRITE";

/// Lets memstache-codec write values with every set of features, and read each with every other.
///
/// The sets are: none, each feature alone, the default ones, all. A value that a build cannot read must be refused with the
/// name of the feature that it lacks.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(ws: &Workspace, _: &Args) -> Result<()> {
    let chosen = ws.select(&[CODEC.to_owned()])?;
    let sets: Vec<_> = chosen.into_iter().flat_map(sets).collect();
    let folder = ws.target.join("matrix");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be emptied", folder.display()))?;
    }
    let mut steps = Steps::new();
    for (number, set) in sets.iter().enumerate() {
        let mut write = test(ws, set, folder.as_os_str());
        steps.run(&format!("{} writes", set.name), write.env(WRITER, number.to_string()));
    }
    for set in &sets {
        steps.run(&format!("{} reads all", set.name), &mut test(ws, set, folder.as_os_str()));
    }
    steps.finish("matrix")
}

/// The sets of features that are built alone anyway, and all of them together.
fn sets(package: &Package) -> Vec<Alone> {
    let args = ["-p", &package.name, "--all-features"].map(str::to_owned).to_vec();
    let all = Alone { name: format!("{}: all features", package.name), args };
    alone(package).into_iter().chain([all]).collect()
}

fn test(ws: &Workspace, set: &Alone, folder: &OsStr) -> Command {
    let mut command = ws.cargo(["test", "--test", "matrix"]);
    command.args(&set.args).env(FOLDER, folder).env_remove(WRITER);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_and_its_test_are_there() {
        let ws = Workspace::load().unwrap();
        let package = ws.select(&[CODEC.to_owned()]).unwrap()[0];
        assert!(package.targets.iter().any(|target| target.name == "matrix" && target.kind == ["test"]));
        let sets = sets(package);
        assert_eq!(sets.len(), package.features.len() + 2);
        assert!(sets.iter().any(|set| set.args.ends_with(&["zstd".to_owned()])));
    }
}
