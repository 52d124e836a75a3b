//! Every crate stands on the core and on no sibling.

use super::Finding;
use crate::workspace::{CORE, DEMO, Dependency, Package};

/// Checks what the crates of the workspace depend on.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    packages.iter().filter(|package| is_crate(&package.name)).flat_map(check_package).collect()
}

/// Library crates; the demo and xtask are programs and may depend on what they like.
fn is_crate(name: &str) -> bool {
    name.starts_with("memstache-") && name != DEMO
}

fn check_package(package: &Package) -> Vec<Finding> {
    let place = format!("{}/Cargo.toml", package.name);
    let mut found: Vec<_> = package.dependencies.iter().filter_map(|on| check_edge(package, on)).collect();
    if package.name != CORE && !package.dependencies.iter().any(|on| on.name == CORE && on.kind.is_none()) {
        found.push(format!("does not depend on {CORE}"));
    }
    found.into_iter().map(|what| Finding::problem(&place, what)).collect()
}

fn check_edge(package: &Package, on: &Dependency) -> Option<String> {
    let Dependency { name, kind, req } = on;
    if name == DEMO || name == "xtask" {
        return Some(format!("depends on {name}, which is a program"));
    }
    if !is_crate(name) || (name == CORE && package.name != CORE && kind.as_deref() != Some("dev")) {
        return None;
    }
    match kind.as_deref() {
        // With a version, the crates could not be published one after the other.
        Some("dev") if req != "*" => (name != CORE || package.name == CORE)
            .then(|| format!("has a dev-dependency on {name} with a version; leave the version out")),
        Some("dev") => None,
        _ => Some(format!("depends on its sibling {name}; what both need belongs into {CORE}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What is found about a package with these (name, kind, version) edges.
    fn found(name: &str, edges: &[(&str, Option<&str>, &str)]) -> Vec<String> {
        let dependency = |&(name, kind, req): &(&str, Option<&str>, &str)| Dependency {
            name: name.to_owned(),
            kind: kind.map(str::to_owned),
            req: req.to_owned(),
        };
        let package = Package {
            name: name.to_owned(),
            features: BTreeMap::new(),
            dependencies: edges.iter().map(dependency).collect(),
            targets: Vec::new(),
        };
        check(&[package]).into_iter().map(|finding| finding.what).collect()
    }

    const ON_CORE: (&str, Option<&str>, &str) = (CORE, None, "^0.1");

    #[test]
    fn the_core_and_strangers_are_fine() {
        assert!(
            found("memstache-redis", &[ON_CORE, ("tower", None, "^0.5"), ("proptest", Some("dev"), "^1")]).is_empty()
        );
        assert!(found(CORE, &[("bytes", None, "^1"), (CORE, Some("dev"), "*")]).is_empty());
    }

    #[test]
    fn an_edge_to_a_sibling_is_found() {
        let what = found("memstache-redis", &[ON_CORE, ("memstache-codec", None, "^0.1")]);
        assert_eq!(what.len(), 1);
        assert!(what[0].starts_with("depends on its sibling memstache-codec"), "{what:?}");
        assert_eq!(found("memstache-redis", &[ON_CORE, ("memstache-codec", Some("build"), "*")]).len(), 1);
        assert_eq!(found(CORE, &[("memstache-codec", None, "^0.1")]).len(), 1);
    }

    #[test]
    fn a_sibling_for_tests_has_no_version() {
        assert!(found("memstache-redis", &[ON_CORE, ("memstache-codec", Some("dev"), "*")]).is_empty());
        assert_eq!(found("memstache-redis", &[ON_CORE, ("memstache-codec", Some("dev"), "^0.1")]).len(), 1);
        assert_eq!(found(CORE, &[(CORE, Some("dev"), "^0.1")]).len(), 1);
    }

    #[test]
    fn a_crate_without_the_core_is_found() {
        assert_eq!(found("memstache-redis", &[]), ["does not depend on memstache-core"]);
        assert_eq!(found("memstache-redis", &[(CORE, Some("dev"), "*")]), ["does not depend on memstache-core"]);
    }

    #[test]
    fn programs_are_no_dependency_and_have_no_rules() {
        assert_eq!(found("memstache-redis", &[ON_CORE, (DEMO, Some("dev"), "*")]).len(), 1);
        assert!(found(DEMO, &[("memstache-codec", None, "*"), ("memstache-redis", None, "*")]).is_empty());
    }
}
