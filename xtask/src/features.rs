//! The builds that show that a crate stands alone, and each of its features too.

use crate::workspace::Package;

/// One choice of features of one package.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Alone {
    /// For people: the package, and the choice.
    pub(crate) name: String,
    /// For cargo.
    pub(crate) args: Vec<String>,
}

/// The package as it comes, without any feature, and with each feature by itself.
pub(crate) fn alone(package: &Package) -> Vec<Alone> {
    let mut out = vec![choice(package, "as it comes", &[])];
    if package.features.is_empty() {
        return out;
    }
    out.push(choice(package, "no features", &["--no-default-features"]));
    for feature in package.features.keys().filter(|feature| *feature != "default") {
        out.push(choice(package, feature, &["--no-default-features", "--features", feature]));
    }
    out
}

fn choice(package: &Package, what: &str, args: &[&str]) -> Alone {
    let args = ["-p", &package.name].into_iter().chain(args.iter().copied());
    Alone { name: format!("{}: {what}", package.name), args: args.map(str::to_owned).collect() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn package(features: &[&str]) -> Package {
        let features: BTreeMap<_, _> = features.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
        Package { name: "x".to_owned(), features, dependencies: Vec::new(), targets: Vec::new() }
    }

    #[test]
    fn a_package_without_features_is_built_once() {
        assert_eq!(
            alone(&package(&[])),
            [Alone { name: "x: as it comes".into(), args: vec!["-p".into(), "x".into()] }]
        );
    }

    #[test]
    fn every_feature_is_built_by_itself_and_none_too() {
        let args: Vec<_> = alone(&package(&["default", "json", "near"])).iter().map(|it| it.args.join(" ")).collect();
        assert_eq!(
            args,
            [
                "-p x",
                "-p x --no-default-features",
                "-p x --no-default-features --features json",
                "-p x --no-default-features --features near",
            ]
        );
    }
}
