//! What is told, field by field.

use axum::http::{StatusCode, header};
use memstache_cluster::{Engine, KeySpace, RateLimit};
use memstache_core::TenantId;
use serde::Deserialize;

use crate::{
    kit::*,
    sources::{Counting, millis, secs, sourced},
};

/// The example of DistCache's README.
const README: &str = r#"[
  {
    "name": "users",
    "max_bytes": 67108864,
    "default_ttl": "5m0s",
    "read_timeout": "250ms",
    "write_timeout": "500ms",
    "warm_keys": ["user:1", "user:2"],
    "main_cache_bytes": 2048,
    "hot_cache_bytes": 256,
    "stats": {
      "gets": 120,
      "cache_hits": 98,
      "peer_loads": 5,
      "peer_errors": 0,
      "loads": 22,
      "loads_deduped": 7,
      "local_loads": 17,
      "local_load_errs": 0,
      "remove_keys_requests": 1,
      "removed_keys": 3
    }
  }
]"#;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    name: String,
    max_bytes: u64,
    default_ttl: String,
    read_timeout: String,
    write_timeout: String,
    warm_keys: Vec<String>,
    main_cache_bytes: u64,
    hot_cache_bytes: u64,
    stats: Stats,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stats {
    gets: u64,
    cache_hits: u64,
    peer_loads: u64,
    peer_errors: u64,
    loads: u64,
    loads_deduped: u64,
    local_loads: u64,
    local_load_errs: u64,
    remove_keys_requests: u64,
    removed_keys: u64,
}

/// The keyspace of that example.
async fn example() -> Engine {
    let users = KeySpace::builder("users")
        .max_bytes(67_108_864)
        .default_ttl(secs(300))
        .read_timeout(millis(250))
        .write_timeout(millis(500))
        .source(Counting::default())
        .warm_keys(["user:1", "user:2"])
        .build()
        .unwrap();
    let engine = alone([users]).await;
    while engine.stats("users").unwrap().main_entries < 2 {
        tokio::task::yield_now().await;
    }
    engine
}

#[tokio::test]
async fn a_live_node_tells_of_keyspaces_as_distcache_s_readme_does() {
    let engine = example().await;
    for key in ["user:1", "user:2", "user:3", "fails"] {
        drop(engine.get("users", key).await);
    }
    engine.delete("users", "user:3").await.unwrap();
    let answer = get_as(&guarded(&engine), "/keyspaces", READ).await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    let theirs: Vec<Told> = serde_json::from_str(README).unwrap();
    let ours: Vec<Told> = serde_json::from_slice(&answer.body).unwrap();
    let (theirs, ours) = (&theirs[0], &ours[0]);
    let settings = |told: &Told| {
        let Told { name, max_bytes, default_ttl, read_timeout, write_timeout, warm_keys, .. } = told;
        format!("{name} {max_bytes} {default_ttl} {read_timeout} {write_timeout} {warm_keys:?}")
    };
    assert_eq!(settings(ours), settings(theirs));
    assert!(ours.main_cache_bytes > 100 && ours.main_cache_bytes < 100_000 && ours.hot_cache_bytes == 0, "{ours:?}");
    let expected = Stats {
        gets: 6,
        cache_hits: 2,
        peer_loads: 0,
        peer_errors: 0,
        loads: 4,
        loads_deduped: 3,
        local_loads: 3,
        local_load_errs: 1,
        remove_keys_requests: 1,
        removed_keys: 1,
    };
    assert_eq!(ours.stats, expected);
    // The fields come in their order, too.
    let fields = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| Some(line.trim().strip_prefix('"')?.split_once("\":")?.0.to_owned())).collect()
    };
    assert_eq!(fields(answer.text()), fields(README));
}

#[tokio::test]
async fn names_of_keys_are_for_those_with_a_token() {
    let engine = example().await;
    let router = built(memstache_cluster::admin::Admin::builder(&engine).write_token(WRITE));
    for below in ["/keyspaces", "/status", "/", "/metrics"] {
        assert!(!get(&router, below).await.text().contains("user:1"), "{below}");
    }
    assert!(get_as(&router, "/keyspaces", WRITE).await.text().contains("user:1"));
    assert_eq!(get(&router, "/status").await.json()["node"]["named"], false);
    assert_eq!(get_as(&router, "/status", WRITE).await.json()["node"]["named"], true);
}

#[tokio::test]
async fn hot_keys_are_told_by_name_to_those_with_a_token() {
    let engine = alone([users(), KeySpace::builder("shops").build().unwrap()]).await;
    let acme = engine.for_tenant(&TenantId::new("acme").unwrap());
    for _ in 0..30 {
        acme.get("users", "ada").await.unwrap();
    }
    engine.get("shops", "b").await.unwrap();
    let router = built(memstache_cluster::admin::Admin::builder(&engine).write_token(WRITE));
    let told = get_as(&router, "/hotkeys", WRITE).await.json();
    let first = &told[0];
    assert_eq!((&first["keyspace"], &first["tenant"], &first["key"]), (&"users".into(), &"acme".into(), &"ada".into()));
    assert!(first["hits"].as_f64().unwrap() > 20.0 && first["share"].as_f64().unwrap() > 0.9, "{told}");
    assert_eq!((told.as_array().unwrap().len(), &told[1]["keyspace"]), (2, &"shops".into()));
    let nameless = get(&router, "/hotkeys").await;
    assert!(!nameless.text().contains("ada") && !nameless.text().contains("acme"));
    assert_eq!(nameless.json()[0]["partition"], first["partition"]);
    for (token, shown) in [(None, false), (Some(bearer(WRITE)), true)] {
        let page = send(&router, axum::http::Method::GET, "/", token.as_deref()).await;
        assert_eq!(page.text().contains("ada<span"), shown);
    }
}

#[tokio::test]
async fn settings_that_are_not_set_are_the_engine_s() {
    let engine = alone([users()]).await;
    let told = &get(&open(&engine), "/keyspaces").await.json()[0];
    let spans = ["default_ttl", "read_timeout", "write_timeout"].map(|field| told[field].as_str().unwrap().to_owned());
    assert_eq!(spans, ["0s", "5s", "5s"]);
    assert!(told.get("warm_keys").is_none());
}

#[tokio::test(start_paused = true)]
async fn members_are_told_with_their_share_and_health() {
    let nodes = Nodes::start(3, |_| vec![users()]).await;
    for n in 0..60 {
        nodes.engines[1].put("users", format!("k{n}"), "v").await.unwrap();
    }
    let router = open(&nodes.engines[1]);
    let peers = get(&router, "/peers").await.json();
    let peers = peers.as_array().unwrap();
    let names: Vec<_> = peers.iter().map(|peer| peer["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cache-1", "cache-0", "cache-2"], "itself first");
    let me = &peers[0];
    assert_eq!((&me["is_self"], &me["health"], &me["state"]), (&true.into(), &"self".into(), &"active".into()));
    assert_eq!((&me["bind_addr"], &me["bind_port"]), (&"10.0.0.2".into(), &3320.into()));
    assert_eq!((&me["discovery_port"], &me["zone"]), (&3322.into(), &"zone-1".into()));
    assert!(peers[1..].iter().all(|peer| peer["is_self"] == false && peer["health"] == "healthy"), "{peers:?}");
    let shares: Vec<_> = peers.iter().map(|peer| peer["share"].as_f64().unwrap()).collect();
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9 && shares.iter().all(|share| (0.3..0.37).contains(share)));

    let table = get(&router, "/partitions").await.json();
    let (owners, map) = (table["owners"].as_array().unwrap(), table["map"].as_array().unwrap());
    assert_eq!((table["count"].as_u64().unwrap(), map.len(), owners.len()), (16_384, 16_384, 3));
    for (place, owner) in owners.iter().enumerate() {
        let owned = map.iter().filter(|of| of.as_u64() == Some(place as u64)).count() as u64;
        assert_eq!(owner["partitions"], owned);
        let peer = peers.iter().find(|peer| peer["id"] == owner["id"]).unwrap();
        assert_eq!((&peer["partitions"], &peer["name"]), (&owner["partitions"], &owner["name"]));
    }
    assert_eq!(get(&router, "/status").await.json()["node"]["epoch"], table["epoch"]);

    nodes.network.crash(member(0).address.ip());
    let health = async || get(&router, "/peers").await.json()[1]["health"].as_str().unwrap().to_owned();
    // The lost connection is noticed before the next call of the members' own (of what they know of keyspaces) fails.
    while health().await == "healthy" {
        tokio::time::sleep(millis(1)).await;
    }
    assert_eq!(health().await, "disconnected");
    for n in 0..60 {
        drop(nodes.engines[1].put("users", format!("k{n}"), "v").await);
    }
    assert_eq!(health().await, "down");
}

#[tokio::test]
async fn a_node_alone_has_no_members() {
    let engine = alone([users()]).await;
    let router = open(&engine);
    assert_eq!(get(&router, "/peers").await.json(), serde_json::json!([]));
    assert_eq!(get(&router, "/partitions").await.json()["map"], serde_json::json!([]));
    let node = &get(&router, "/status").await.json()["node"];
    assert_eq!((&node["clustered"], &node["state"], &node["ready"]), (&false.into(), &"running".into(), &true.into()));
}

#[tokio::test]
async fn what_protects_a_source_is_told() {
    let source = Counting::default();
    let engine = Engine::builder()
        .keyspace(sourced(&source).build().unwrap())
        .rate_limit(RateLimit::per_second(100).with_burst(5))
        .build()
        .unwrap();
    engine.start().await.unwrap();
    source.break_down(true);
    for n in 0..20 {
        assert!(engine.get("products", format!("fails{n}")).await.is_err());
    }
    let status = get(&open(&engine), "/status").await.json();
    let told = &status["keyspaces"][0];
    assert_eq!(told["breaker"]["state"], "open");
    assert!(told["breaker"]["refused"].as_u64().unwrap() > 0);
    assert_eq!((&told["limiter"]["per_second"], &told["has_source"]), (&100.into(), &true.into()));
    assert_eq!(status["health"]["condition"], "degraded");
}

#[tokio::test]
async fn probes_follow_the_node_s_life() {
    let engine = Engine::builder().keyspace(users()).build().unwrap();
    let router = guarded(&engine);
    let probe = async |path: &str| {
        let answer = get(&router, path).await;
        (answer.status.as_u16(), answer.text().to_owned())
    };
    assert_eq!(probe("/readyz").await, (503, "not ready".to_owned()));
    assert_eq!(probe("/healthz").await, (200, "ok".to_owned()));
    engine.start().await.unwrap();
    assert_eq!(probe("/readyz").await, (200, "ready".to_owned()));
    engine.stop().await.unwrap();
    assert_eq!(probe("/readyz").await, (503, "not ready".to_owned()));
    assert_eq!(get_as(&router, "/status", READ).await.json()["node"]["state"], "stopped");
    drop(engine);
    assert_eq!(probe("/readyz").await.0, 503);
    let gone = get_as(&router, "/peers", READ).await;
    assert_eq!((gone.status, gone.error()), (StatusCode::SERVICE_UNAVAILABLE, "the engine was stopped".to_owned()));
}
