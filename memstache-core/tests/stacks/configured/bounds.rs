//! What hostile and mistaken configurations cost, and what is said of settings for nothing.

use std::collections::BTreeMap;

use memstache_core::{
    Error, ErrorKind,
    config::{CacheConfig, Registry},
};

use super::{build, told};

fn variables(all: &[(&str, &str)]) -> CacheConfig {
    CacheConfig::new().variables("M_", all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn wrong(config: &CacheConfig) -> Vec<String> {
    let error = config.build(&Registry::new()).map(drop).unwrap_err();
    error.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn a_path_of_many_steps_is_refused_before_anybody_follows_it() {
    let name = format!("M_{}", vec!["A"; 5_000].join("__"));
    let shown = format!("{}…", &name[..64]);
    let limit = "must be a path of at most 16 steps, but 5000 were given";
    assert_eq!(wrong(&variables(&[(&name, "1")])), [format!("{shown} {limit}")]);

    let path = vec!["a"; 5_000].join(".");
    let told = wrong(&CacheConfig::new().set(&path, 1));
    assert!(told[0].starts_with(&format!("{}… {limit} (code at ", &path[..64])), "{told:?}");
    let sixteen = wrong(&CacheConfig::new().set(&vec!["a"; 16].join("."), 1));
    assert!(sixteen[0].starts_with("a is unknown"), "{sixteen:?}");
}

#[test]
fn long_texts_and_many_problems_are_bounded() {
    let large = format!("backend.kind = '{}'", "x".repeat(1 << 20));
    let told_large = told(&large);
    assert!(
        told_large[0].starts_with("the text must be at most 1048576 bytes long, but 1048593 were given"),
        "{told_large:?}"
    );

    let long = "k".repeat(300_000);
    let told_long = told(&format!("{long} = 1\n[backend]\n{long} = 1\n[keyspaces.{long}]\nttl = 0"));
    assert!(told_long.len() >= 4 && told_long.iter().all(|line| line.len() < 400), "{told_long:#?}");

    let twice = told(&format!("{long} = 1\n{long} = 2"));
    assert!(twice[0].starts_with("the text is no TOML: ") && twice[0].len() < 400, "{}", twice[0].len());

    let many = (0..5_000).fold(String::new(), |all, n| format!("{all}unknown_{n} = 1\n"));
    let error = build(&many).unwrap_err();
    assert_eq!((error.problems().len(), error.more()), (100, 4_900));
    let text = error.to_string();
    assert!(text.starts_with("the configuration is wrong in 5000 places\n"), "{text}");
    assert!(text.ends_with("\n  and 4900 more") && text.len() < 40_000, "{}", text.len());
}

#[test]
fn a_date_is_told_as_one() {
    let told = told("cache = 1979-05-27\nbackend.max_bytes = 1979-05-27");
    assert!(told[0].starts_with("cache must be a section with settings"), "{told:?}");
    assert!(told[1].contains("but a date was given"), "{told:?}");
}

#[test]
fn variables_that_differ_in_case_only_are_refused_and_each_is_told_by_its_name() {
    let told = wrong(&variables(&[("M_CACHE__TTL", "1m"), ("M_Cache__Ttl", "2m"), ("M_near__MAX_bytes", "7")]));
    assert_eq!(told[0], "M_Cache__Ttl is set beside M_CACHE__TTL, which differs from it in case only");
    assert!(told[1].ends_with("(environment variable M_near__MAX_bytes)"), "{told:?}");
}

#[test]
fn one_and_zero_are_yes_and_no_and_an_empty_variable_is_not_set() {
    let config = variables(&[("M_CACHE__KEEP_LOADING", "1"), ("M_CACHE__TTL", ""), ("M_UNKNOWN", "")]);
    let built = config.build(&Registry::new()).unwrap();
    let settings: BTreeMap<_, _> = built.settings().iter().map(|it| (it.path.as_str(), it)).collect();
    assert_eq!(settings["cache.keep_loading"].value, "true");
    assert_eq!((settings["cache.ttl"].value.as_str(), &settings["cache.ttl"].source), ("\"none\"", &None));
    let off = variables(&[("M_CACHE__KEEP_LOADING", "0")]).build(&Registry::new()).unwrap();
    assert!(off.settings().iter().any(|it| it.path == "cache.keep_loading" && it.value == "false"));
}

#[test]
fn the_name_that_a_part_gives_a_setting_is_brought_back_to_its_path() {
    let told = wrong(&CacheConfig::new().toml("observe = { kind = 'registry', name = 'a b' }"));
    assert!(told[0].starts_with("observe.name must be made of"), "{told:?}");
    assert!(told[0].contains("(text given at"), "{told:?}");

    let both = "one must be 1, but 2 was given; two must be above one, but 0 was given";
    let of = move |error: &'static str| {
        let registry = Registry::new().backend("mine", move |section| {
            let _ = (section.count("one", 2, 0..=9), section.count("two", 0, 0..=9));
            Err(Error::new(ErrorKind::Invalid, error))
        });
        let error = CacheConfig::new().toml("backend = { kind = 'mine' }").build(&registry).map(drop).unwrap_err();
        error.problems().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(of(both), ["backend.one must be 1, but 2 was given", "backend.two must be above one, but 0 was given"]);
    let other = "one must be 1; the caller must be awake";
    assert_eq!(of(other), [format!("backend cannot be used: {other}")]);
}

fn warned(toml: &str) -> Vec<String> {
    let built = build(toml).unwrap();
    built.warnings().iter().map(|it| format!("{} {}", it.path, it.message)).collect()
}

#[test]
fn settings_without_effect_are_warned_of_unless_they_are_the_defaults() {
    let waits = "is longer than load_timeout (1s), which ends the load before";
    assert_eq!(
        warned(
            "near.on_degraded = 'near-only'\ncache = { load_timeout = '1s', hard_timeout = '1d', soft_timeout = '1h' }"
        ),
        [
            format!("cache.hard_timeout {waits}"),
            format!("cache.soft_timeout {waits}"),
            "near.on_degraded has no effect: there is no near cache without max_bytes".to_owned(),
        ]
    );
    assert_eq!(
        warned("cache.error_backoff_max = '2m'\nnear.policy = 'tiny-lfu'"),
        ["cache.error_backoff_max has no effect: errors are not remembered without error_backoff"]
    );
    assert!(warned("cache = { error_backoff = '1s', error_backoff_max = '2m' }").is_empty());
    assert!(warned("near = { max_bytes = '1 MiB', policy = 'sieve' }").is_empty());
    let source = build("near.policy = 'sieve'").unwrap().warnings()[0].source.clone().unwrap();
    assert!(source.starts_with("text given at"), "{source}");
}

#[cfg(feature = "resilience")]
#[test]
fn parts_that_are_switched_off_warn_of_what_is_set_for_them() {
    let toml = "[resilience]\nmax_calls = 7\nrate.burst = 5\n[resilience.retry]\nretries = 2\nenabled = false\n\
                [keyspaces.a.source_breaker]\nprobes = 3";
    let off = "has no effect: resilience.enabled is false";
    let mut told = warned(toml);
    told.sort();
    assert_eq!(
        told,
        [
            "keyspaces.a.source_breaker.probes has no effect: keyspaces.a.source_breaker.enabled is false".to_owned(),
            format!("resilience.max_calls {off}"),
            "resilience.rate.burst has no effect: there is no limit of rate without per_second".to_owned(),
            format!("resilience.retry.enabled {off}"),
            "resilience.retry.retries has no effect: resilience.retry.enabled is false".to_owned(),
        ]
    );
    let on =
        "resilience = { enabled = true, max_calls = 7, rate = { per_second = 9, burst = 5 }, retry = { retries = 2 } }";
    assert!(warned(on).is_empty());
    assert!(warned(memstache_core::config::EXAMPLE).is_empty());
}
