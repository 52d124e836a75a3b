//! A build without the feature says so.

use super::{build, told};

#[test]
fn sections_that_need_the_feature_are_errors_that_name_it() {
    let toml = "[resilience]\nenabled = true\n[cache.source_breaker]\n[keyspaces.k.source_breaker]\nenabled = true";
    let needs = "needs the feature `resilience` of memstache-core";
    let paths = ["cache.source_breaker", "keyspaces.k.source_breaker", "resilience"];
    assert_eq!(told(toml), paths.map(|path| format!("{path} {needs}")));
    assert!(build("").unwrap().settings().iter().all(|setting| !setting.path.contains("breaker")));
}
