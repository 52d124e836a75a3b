//! What is told to a recorder.

use memstache_cluster::Engine;
use memstache_core::observe::Registry;

use crate::kit::*;

#[tokio::test]
async fn calls_and_keys_are_told_by_operation_and_keyspace() {
    let source = Counting::default();
    let registry = Registry::new();
    let metrics = registry.clone();
    let engine = Engine::builder()
        .keyspace(sourced(&source).build().unwrap())
        .recorder(move |keyspace| metrics.recorder(keyspace.as_str()).unwrap())
        .build()
        .unwrap();
    engine.start().await.unwrap();
    for key in ["a", "a", "b", "a"] {
        assert!(read(&engine, key).await.is_some());
    }
    engine.get_many(KS, ["a", "c"]).await.unwrap();
    assert!(try_read(&engine, "fails").await.is_err());
    engine.put(KS, "a", "v").await.unwrap();
    engine.delete(KS, "a").await.unwrap();
    engine.clear(KS).await.unwrap();
    let text = registry.prometheus_text();
    let value = |name: &str, labels: &[&str]| -> f64 {
        let line = |line: &&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
        let found: Vec<_> = text.lines().filter(line).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?} in\n{text}");
        found[0].rsplit(' ').next().unwrap().parse().unwrap()
    };
    let calls = |operation: &str, result: &str| {
        let labels = [KS, &format!("operation=\"{operation}\""), &format!("result=\"{result}\"")];
        value("memstache_operation_duration_seconds_count", &labels)
    };
    assert_eq!((calls("get", "ok"), calls("get", "error")), (5.0, 1.0));
    assert_eq!((calls("set", "ok"), calls("remove", "ok"), calls("invalidate", "ok")), (1.0, 1.0, 1.0));
    let keys = |outcome: &str| value("memstache_requests_total", &[KS, &format!("outcome=\"{outcome}\"")]);
    assert_eq!((keys("hit"), keys("miss"), keys("error")), (3.0, 3.0, 1.0), "each key once");
    assert_eq!(value("memstache_load_duration_seconds_count", &[KS, "result=\"ok\""]), 3.0);
}
