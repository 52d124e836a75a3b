//! The top level holds the crates and what every Rust project has.

use super::Finding;
use crate::workspace::{DEMO, Package};

/// Files that must be there, and no others beside dotfiles.
const FILES: &[&str] = &["CHANGELOG.md", "Cargo.lock", "Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// What cargo makes when it is not told where.
const MADE: &str = "target/";

/// Checks the names at the top level, folders with a `/` at their end.
pub(super) fn check(names: &[String], packages: &[Package]) -> Vec<Finding> {
    let crates = packages.iter().filter(|package| package.name != DEMO).map(|package| format!("{}/", package.name));
    let wanted: Vec<_> = FILES.iter().map(|name| (*name).to_owned()).chain(crates).collect();
    let stray = names.iter().filter(|name| !name.starts_with('.') && *name != MADE && !wanted.contains(name));
    let missing = wanted.iter().filter(|name| !names.contains(name));
    stray
        .map(|name| Finding::problem(name, "does not belong at the top level"))
        .chain(missing.map(|name| Finding::problem(name, "is missing at the top level")))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn found(remove: &str, add: &[&str]) -> Vec<String> {
        let package = |name: &str| Package {
            name: name.to_owned(),
            features: BTreeMap::new(),
            dependencies: Vec::new(),
            targets: Vec::new(),
        };
        let packages = [package("memstache-core"), package("xtask"), package(DEMO)];
        let names = FILES.iter().chain(&["memstache-core/", "xtask/"]).chain(add).filter(|name| **name != remove);
        let names: Vec<_> = names.map(|name| (*name).to_owned()).collect();
        check(&names, &packages).into_iter().map(|finding| finding.place).collect()
    }

    #[test]
    fn crates_files_dotfiles_and_target_belong() {
        assert!(found("", &[".github/", ".deny.toml", "target/"]).is_empty());
    }

    #[test]
    fn strays_are_found() {
        assert_eq!(found("", &["docs/", "notes.txt", "memstache-extra/"]), ["docs/", "notes.txt", "memstache-extra/"]);
    }

    #[test]
    fn a_missing_file_or_crate_is_found() {
        assert_eq!(found("LICENSE-MIT", &[]), ["LICENSE-MIT"]);
        assert_eq!(found("memstache-core/", &[]), ["memstache-core/"]);
    }
}
