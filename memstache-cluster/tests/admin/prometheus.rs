//! Metrics.

use std::{
    env,
    io::Write as _,
    process::{Command, Stdio},
};

use axum::http::header;
use memstache_cluster::{Engine, admin::Admin};
use memstache_core::observe::Registry;

use crate::{
    kit::*,
    sources::{Counting, sourced},
};

/// A node that has counted something of everything, and its registry.
async fn busy() -> (Engine, Registry) {
    let (registry, source) = (Registry::new(), Counting::default());
    let recorders = registry.clone();
    let engine = Engine::builder()
        .keyspace(sourced(&source).build().unwrap())
        .keyspace(users())
        .recorder(move |name| recorders.recorder(name.as_str()).unwrap())
        .build()
        .unwrap();
    engine.start().await.unwrap();
    for key in ["a", "a", "b", "missing", "fails"] {
        drop(engine.get("products", key).await);
    }
    engine.put("users", "7", "Ada").await.unwrap();
    (engine, registry)
}

#[tokio::test]
async fn what_the_engine_counts_is_told() {
    let (engine, registry) = busy().await;
    let answer = get(&built(Admin::builder(&engine).registry(&registry)), "/metrics").await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], Registry::CONTENT_TYPE);
    for line in [
        "# TYPE memstache_cluster_keyspace_gets_total counter",
        "memstache_cluster_node_ready 1",
        "memstache_cluster_members{memstache_state=\"active\"} 0",
        "memstache_cluster_keyspace_gets_total{memstache_keyspace=\"products\"} 5",
        "memstache_cluster_keyspace_hits_total{memstache_keyspace=\"products\"} 1",
        "memstache_cluster_keyspace_local_load_errors_total{memstache_keyspace=\"products\"} 1",
        "memstache_cluster_keyspace_entries{memstache_keyspace=\"users\",memstache_tier=\"main\"} 1",
        "memstache_cluster_keyspace_entries{memstache_keyspace=\"users\",memstache_tier=\"replica\"} 0",
        "memstache_cluster_keyspace_fallback_loads_total{memstache_keyspace=\"products\"} 0",
        "memstache_cluster_keyspace_breaker_open{memstache_keyspace=\"products\"} 0",
        // Of the registry.
        "memstache_fills_total{memstache_cache=\"products\",memstache_result=\"stored\"} 2",
    ] {
        assert!(answer.text().lines().any(|it| it == line), "{line}\n{}", answer.text());
    }
}

#[tokio::test(start_paused = true)]
async fn members_are_counted_by_their_state() {
    let nodes = Nodes::start(3, |_| vec![users()]).await;
    let text = get(&open(&nodes.engines[0]), "/metrics").await.text().to_owned();
    assert!(text.contains("memstache_cluster_members{memstache_state=\"active\"} 3\n"), "{text}");
    let owned = text.lines().find_map(|line| line.strip_prefix("memstache_cluster_partitions_owned ")).unwrap();
    assert!((5000..6000).contains(&owned.parse::<u32>().unwrap()), "{owned}");
}

#[tokio::test]
#[ignore = "needs Prometheus' promtool; run by cargo xtask test"]
async fn prometheus_own_tool_finds_nothing_wrong() {
    let (engine, registry) = busy().await;
    let answer = get(&built(Admin::builder(&engine).registry(&registry)), "/metrics").await;
    let promtool = env::var("MEMSTACHE_PROMTOOL").expect("cargo xtask test says where promtool is");
    let mut promtool = Command::new(promtool);
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&answer.body).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
