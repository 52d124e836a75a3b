//! The backend `redis` in configurations: what is read and told, without a server.

use std::collections::BTreeMap;

use memstache_core::{
    ErrorKind, Json,
    config::{CacheConfig, ConfigError, Configured, Registry},
};
use memstache_redis::{CONFIG_EXAMPLE, register};

/// Nobody listens there.
const URL: &str = "[backend]\nkind = 'redis'\nurl = 'redis://ada:hunter2@127.0.0.1:1'\n";

fn build(toml: &str) -> Result<Configured<Json>, ConfigError> {
    CacheConfig::new().toml(toml).build(&register(Registry::new()))
}

fn told(toml: &str) -> Vec<String> {
    let error = build(toml).map(drop).expect_err("it is wrong");
    error.problems().iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect()
}

/// What stands in `[backend]`, by path: value, default, and whether somebody set it.
fn listed(built: &Configured<Json>) -> BTreeMap<String, (String, String, bool)> {
    let settings = built.settings().iter().filter(|setting| setting.path.starts_with("backend."));
    settings.map(|it| (it.path.clone(), (it.value.clone(), it.default.clone(), it.source.is_some()))).collect()
}

#[tokio::test]
async fn the_example_lists_every_setting_with_its_default() {
    let (example, short) = (listed(&build(CONFIG_EXAMPLE).unwrap()), listed(&build(URL).unwrap()));
    assert_eq!(example.keys().collect::<Vec<_>>(), short.keys().collect::<Vec<_>>());
    assert_eq!(example.len(), 31);
    for (path, (value, default, set)) in &example {
        assert!(set, "{path} is missing in the example");
        assert!(value == default || ["backend.kind", "backend.url"].contains(&path.as_str()), "{path}: {value}");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let toml = r#"
        [backend]
        kind = "redis"
        url = "http://hunter2@example.com"
        username = "ada"
        database = 256
        connections = 65
        connect_timeout = "0"
        reconnect_backoff = "2m"
        reconnect_backoff_max = "0"
        read_timeout = "0"
        read_attempts = 0
        backoff = "2m"
        write_timeout = "2m"
        call_timeout = 5
        lease_ttl = "5ms"
        max_ttl = "0"
        tombstone_ttl = "2h"
        max_value_bytes = "1 GiB"
        on_oversize = "explode"
        max_in_flight_bytes = 1
        max_queued = 15
        max_tags = 15
        event_capacity = 0
        canary_interval = "1ms"
        identity_key_file = "/nowhere/key.pem"
        ca_file = "/nowhere/ca.pem"
        conections = 3
        passwort = "hunter3"
        [naer]
    "#;
    let told = told(toml);
    for path in [
        "database",
        "connections",
        "connect_timeout",
        "reconnect_backoff",
        "reconnect_backoff_max",
        "read_timeout",
        "read_attempts",
        "backoff",
        "write_timeout",
        "call_timeout",
        "lease_ttl",
        "max_ttl",
        "tombstone_ttl",
        "max_value_bytes",
        "on_oversize",
        "max_in_flight_bytes",
        "max_queued",
        "max_tags",
        "event_capacity",
        "canary_interval",
    ] {
        let wrong = told.iter().filter(|line| line.starts_with(&format!("backend.{path} must be "))).count();
        assert_eq!(wrong, 1, "{path}: {told:#?}");
    }
    for line in [
        "backend.password must be given with a username",
        "backend.ca_file must name a file that can be read: entity not found",
        "backend.identity_key_file must name a file that can be read: entity not found",
        "backend.identity_chain_file must be given with identity_key_file",
        "backend.conections is unknown; did you mean connections?",
        "backend.passwort is unknown; did you mean password?",
        "naer is unknown; did you mean near?",
    ] {
        assert!(told.iter().any(|given| given == line), "{line}: {told:#?}");
    }
    assert!(told.iter().any(|line| line.starts_with("backend.url must be of the form")), "{told:#?}");
    assert_eq!(told.len(), 28, "{told:#?}");
    assert!(!told.iter().any(|line| line.contains("hunter")), "{told:#?}");
}

#[tokio::test]
async fn what_does_not_fit_together_is_told() {
    let one = |toml: &str| {
        let mut told = told(toml);
        assert_eq!(told.len(), 1, "{told:#?}");
        told.remove(0)
    };
    for (setting, wanted) in [
        ("read_timeout = '3s'", "backend.read_timeout must be at most call_timeout (2s), but 3s was given"),
        ("reconnect_backoff = '2s'", "backend.reconnect_backoff_max must be 2s to 60s, but 250ms was given"),
        ("prefix = 'a b'", "backend.prefix must be"),
        ("client_name = 'a b'", "backend.client_name must be"),
        (
            "sentinel_password = 'x'",
            "backend cannot be used: sentinel_credentials must be given with redis-sentinel://",
        ),
    ] {
        let told = one(&format!("{URL}{setting}"));
        assert!(told.starts_with(wanted), "{told}");
    }
    let none = one("backend.kind = 'redis'");
    assert_eq!(none, "backend.url must be given, such as \"redis://localhost:6379\", but none was given");
    let kind = one("backend = { kind = 'redsi', url = 'redis://hunter2@h' }");
    assert_eq!(kind, "backend.kind must be one of memory, redis, but \"redsi\" was given; did you mean redis?");
    let cluster = one("backend = { kind = 'redis', url = 'redis-cluster://h', database = 1 }");
    assert_eq!(cluster, "backend.database must be 0 in a Cluster, but 1 was given");
}

#[test]
fn outside_of_a_runtime_it_says_so() {
    let told = told(URL);
    assert_eq!(
        told,
        ["backend cannot be used: the caller must be inside of a tokio runtime, but a thread without one was given"]
    );
}

#[tokio::test]
async fn certificates_are_read_from_files() {
    let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis/ca.pem");
    let of = |url: &str, ca: &str| build(&format!("[backend]\nkind = 'redis'\nurl = '{url}'\nca_file = '{ca}'"));
    let plain = of("redis://127.0.0.1:1", ca).unwrap_err().to_string();
    assert!(plain.contains("ca and identity must be given with rediss:// only"), "{plain}");
    let tls = of("rediss://127.0.0.1:1", ca);
    if cfg!(feature = "tls") {
        assert!(tls.is_ok(), "{tls:?}");
    } else {
        assert!(tls.unwrap_err().to_string().contains("TLS needs the feature `tls` of memstache-redis"));
    }
    let long = std::env::temp_dir().join(format!("memstache-redis-config-{}.pem", std::process::id()));
    std::fs::write(&long, vec![b'\n'; (1 << 20) + 1]).unwrap();
    let told = of("rediss://127.0.0.1:1", long.to_str().unwrap()).unwrap_err().to_string();
    std::fs::remove_file(&long).unwrap();
    assert!(told.contains("backend.ca_file must name a file of at most 1048576 bytes"), "{told}");
}

#[tokio::test]
async fn no_secret_is_shown() {
    let toml = "password = 'hunter3'\nusername = 'bob'";
    let built = build(&format!("{URL}{toml}")).unwrap();
    let shown = format!("{built:?} {:?}", built.settings());
    assert!(!shown.contains("hunter") && !shown.contains("ada"), "{shown}");
    let listed = listed(&built);
    for path in ["backend.url", "backend.password"] {
        assert_eq!(listed[path], ("(secret)".to_owned(), "\"none\"".to_owned(), true), "{path}");
    }
}

#[tokio::test]
async fn with_no_server_calls_end_in_time() {
    let toml = format!("{URL}call_timeout = '50ms'\nread_timeout = '20ms'\n[near]\nmax_bytes = '1 MiB'");
    let built = build(&toml).unwrap();
    let error = built.cache("k").unwrap().get::<u8>("a").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable), "{error}");
}
