//! Key records.

use std::sync::Arc;

use futures_util::StreamExt;
use memstache_core::{ErrorKind, Expected, RecordEvent, RecordKey, RecordPrefix, RecordStore, testing::records};
use memstache_redis::RedisRecords;

use super::kit;

async fn open(url: &str) -> RedisRecords {
    RedisRecords::open(&kit::store(kit::builder(url)).await).await.expect("a server that evicts nothing")
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_the_rules() {
    records::conformance(async || Arc::new(open(&kit::single()).await) as Arc<dyn RecordStore>).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keep_the_rules_on_a_cluster() {
    let url = kit::url("MEMSTACHE_REDIS_CLUSTER_URL");
    records::conformance(async || Arc::new(open(&url).await) as Arc<dyn RecordStore>).await;
}

#[tokio::test]
async fn changes_of_another_process_are_told() {
    let builder = kit::builder(&kit::single());
    let (one, other) = (kit::store(builder.clone()).await, kit::store(builder).await);
    let (one, other) = (RedisRecords::open(&one).await.unwrap(), RedisRecords::open(&other).await.unwrap());
    let mut changes = one.watch(&RecordPrefix::ALL).await.unwrap();
    let key = RecordKey::new("a/1").unwrap();
    let sequence = other.put(&key, "tea".into(), Expected::Absent).await.unwrap();
    let told = tokio::time::timeout(kit::PATIENCE, changes.next()).await.unwrap().unwrap();
    assert!(matches!(told, RecordEvent::Put { record, .. } if record.sequence == sequence && record.value == "tea"));
}

#[tokio::test]
async fn limits_are_checked() {
    let records = open(&kit::single()).await;
    let error = records.with_max_value(0).unwrap_err();
    assert_eq!(error.to_string(), "max_value must be 1 to 16777216 bytes, but 0 bytes was given");
    let records = open(&kit::single()).await.with_max_value(3).unwrap();
    let key = RecordKey::new("a").unwrap();
    let error = records.put(&key, "four".into(), Expected::Any).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}
