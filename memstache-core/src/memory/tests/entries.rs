//! Reading, writing, expiring, invalidating.

use super::*;
use crate::{ErrorKind, Parts, Tick, memory::wheel::TICK_MILLIS};

#[tokio::test]
async fn set_get_remove() {
    let bed = bed();
    assert!(matches!(bed.get("a").await, Lookup::Miss));
    let first = bed.set("a", forever("1")).await;
    let second = bed.set("a", forever("2")).await;
    assert!(second > first, "versions rise");
    assert_eq!(bed.value("a").await.as_deref(), Some("2"));
    assert!(bed.remove("a").await);
    assert!(!bed.remove("a").await);
    assert!(matches!(bed.get("a").await, Lookup::Miss));
    let stats = bed.store.stats();
    assert_eq!((stats.entries, stats.bytes), (0, 0));
    assert_eq!((stats.hits, stats.misses, stats.inserts, stats.removed), (1, 2, 2, 1));
}

#[tokio::test]
async fn fresh_then_stale_then_missing() {
    let bed = bed();
    bed.set("a", living("v", 10, 5)).await;
    bed.clock.advance(Duration::from_millis(9_999));
    assert!(matches!(bed.get("a").await, Lookup::Hit(_)));
    bed.clock.advance(Duration::from_millis(1));
    assert!(matches!(bed.get("a").await, Lookup::Stale(entry, None) if entry.value == "v"));
    bed.clock.advance(secs(5));
    assert!(matches!(bed.get("a").await, Lookup::Miss));
}

#[tokio::test]
async fn a_hit_is_confirmed_now_and_a_stale_answer_when_it_stopped_being_fresh() {
    let bed = bed();
    bed.set("a", living("v", 10, 60)).await;
    let written = Tick::from_millis(1_000_000);
    bed.clock.advance(secs(3));
    let Lookup::Hit(entry) = bed.get("a").await else { panic!() };
    assert_eq!((entry.meta.written_at, entry.meta.confirmed_at), (written, written.after(secs(3))));
    bed.clock.advance(secs(20));
    let Lookup::Stale(entry, None) = bed.get("a").await else { panic!() };
    assert_eq!(entry.meta.confirmed_at, written.after(secs(10)));
    let scope = Scope { max_staleness: Some(secs(12)), ..Scope::default() };
    assert!(matches!(bed.read(key("a"), OnMiss::Report, scope).await, Ok(Lookup::Miss)), "stale for 13 s");
    assert!(matches!(bed.get("a").await, Lookup::Stale(..)), "another reader accepts it");
}

#[tokio::test]
async fn sliding_is_extended_by_the_read_and_never_past_the_hard_deadline() {
    let bed = bed();
    let lifetime = Lifetime::new(secs(15)).unwrap().with_sliding(secs(10)).unwrap();
    bed.set("a", NewEntry::new("v", lifetime)).await;
    bed.clock.advance(secs(9));
    let Lookup::Hit(entry) = bed.get("a").await else { panic!() };
    assert_eq!(entry.meta.fresh_until, entry.meta.hard_until, "the answer shows the new window");
    bed.clock.advance(secs(5));
    bed.store.maintain();
    assert!(matches!(bed.get("a").await, Lookup::Hit(_)));
    bed.clock.advance(secs(1));
    assert!(matches!(bed.get("a").await, Lookup::Miss));
}

#[tokio::test]
async fn negative_records_are_told_apart_and_have_no_grace() {
    let bed = bed();
    let lifetime = Lifetime::new(secs(10)).unwrap().with_stale_for(secs(10)).unwrap();
    bed.set("a", NewEntry::negative(lifetime)).await;
    assert!(matches!(bed.get("a").await, Lookup::Negative(meta) if meta.content.negative));
    assert!(!bed.touch("a", TouchKind::Probe).await);
    bed.clock.advance(secs(11));
    assert!(matches!(bed.get("a").await, Lookup::Miss));
    assert!(!bed.remove("a").await);
}

#[tokio::test]
async fn a_sealed_negative_record_comes_with_its_bytes_and_is_no_value() {
    let bed = bed();
    let mut entry = NewEntry::negative(Lifetime::UNLIMITED);
    entry.value = "sealed".into();
    entry.content.sealed = true;
    bed.set("a", entry.clone()).await;
    let negative =
        |found| matches!(found, Lookup::Hit(entry) if entry.meta.content.negative && entry.value == "sealed");
    assert!(negative(bed.get("a").await));
    assert!(!bed.touch("a", TouchKind::Probe).await);
    // The way of reads that change something is another one.
    entry.lifetime = entry.lifetime.with_sliding(secs(10)).unwrap();
    bed.set("a", entry).await;
    bed.clock.advance(secs(9));
    assert!(negative(bed.get("a").await));
    assert_eq!(bed.store.get_now(&Parts::new(&space("", "test"), b"a").unwrap()), None);
}

#[tokio::test]
async fn conditions_hold_or_refuse() {
    let bed = bed();
    let write = |when| bed.write(key("a"), forever("v"), when);
    assert_eq!(write(When::IfPresent).await.unwrap(), Written::Refused);
    assert_eq!(write(When::IfVersion(Version(1))).await.unwrap(), Written::Refused);
    let Written::Stored(version) = write(When::IfAbsent).await.unwrap() else { panic!() };
    assert_eq!(write(When::IfAbsent).await.unwrap(), Written::Refused);
    assert!(matches!(write(When::IfPresent).await.unwrap(), Written::Stored(_)));
    assert_eq!(write(When::IfVersion(version)).await.unwrap(), Written::Refused, "it is another version now");
    bed.set("a", NewEntry::negative(Lifetime::UNLIMITED)).await;
    assert!(matches!(write(When::IfAbsent).await.unwrap(), Written::Stored(_)), "a negative record is no value");
    let Lookup::Hit(entry) = bed.get("a").await else { panic!() };
    assert!(matches!(write(When::IfVersion(entry.meta.version)).await.unwrap(), Written::Stored(_)));
}

#[tokio::test]
async fn a_version_that_another_store_gave_is_never_one_of_this_store() {
    let [before, after] = [bed(), bed()];
    for n in 0..100 {
        let key = format!("k{n}");
        before.set(&key, forever("v")).await;
        after.set(&key, forever("w")).await;
        let Lookup::Hit(read) = before.get(&key).await else { panic!() };
        let late = after.write(self::key(&key), forever("late"), When::IfVersion(read.meta.version)).await.unwrap();
        assert_eq!(late, Written::Refused, "{key}");
    }
}

#[tokio::test]
async fn touch_looks_slides_and_prolongs() {
    let bed = bed();
    assert!(!bed.touch("a", TouchKind::Probe).await);
    assert!(!bed.touch("a", TouchKind::Live(Lifetime::UNLIMITED)).await);
    bed.set("a", living("v", 10, 5)).await;
    assert!(bed.touch("a", TouchKind::Probe).await && bed.touch("a", TouchKind::Slide).await);
    bed.clock.advance(secs(9));
    assert!(bed.touch("a", TouchKind::Live(Lifetime::new(secs(30)).unwrap())).await);
    bed.clock.advance(secs(29));
    bed.store.maintain();
    assert!(bed.touch("a", TouchKind::Probe).await, "the wheel knows the new deadline");
    assert!(bed.touch("a", TouchKind::Live(Lifetime::new(secs(1)).unwrap().with_stale_for(secs(5)).unwrap())).await);
    bed.clock.advance(secs(2));
    assert!(!bed.touch("a", TouchKind::Probe).await, "a stale entry is not live");
    assert!(!bed.touch("a", TouchKind::Slide).await);
    bed.set("b", NewEntry::new("v", Lifetime::UNLIMITED.with_sliding(secs(10)).unwrap())).await;
    bed.clock.advance(secs(9));
    assert!(bed.touch("b", TouchKind::Slide).await);
    bed.clock.advance(secs(9));
    assert!(bed.touch("b", TouchKind::Probe).await, "a slide extends");
}

#[tokio::test]
async fn dead_entries_leave_without_being_asked_for() {
    let bed = bed();
    for n in 0..1000 {
        bed.set(&n.to_string(), living("v", 1 + n % 100, 0)).await;
    }
    bed.clock.advance(secs(50) + Duration::from_millis(TICK_MILLIS));
    bed.store.maintain();
    assert_eq!(bed.store.stats().entries, 500);
    bed.clock.advance(secs(51));
    for n in 0..600 {
        bed.remove(&format!("other {n}")).await;
    }
    assert_eq!(bed.store.stats().entries, 0, "writes alone are enough");
    assert_eq!((bed.store.stats().bytes, bed.store.stats().expirations), (0, 1000));
}

#[tokio::test]
async fn tags_spaces_and_tenants_hide_what_is_older() {
    let bed = bed();
    bed.set("a", tagged("1", "red")).await;
    bed.set("b", tagged("1", "blue")).await;
    let other = Address::plain(&space("acme", "test"), "a").unwrap();
    bed.write(other.clone(), tagged("1", "red"), When::Always).await.unwrap();
    let theirs = || async { bed.read(other.clone(), OnMiss::Report, Scope::default()).await.unwrap() };
    let first = bed.invalidate_tag("red").await;
    assert!(bed.value("a").await.is_none());
    assert!(bed.value("b").await.is_some(), "another tag");
    assert!(matches!(theirs().await, Lookup::Hit(_)), "another space's tag");
    bed.set("a", tagged("2", "red")).await;
    assert_eq!(bed.value("a").await.as_deref(), Some("2"), "younger than the invalidation");
    assert!(bed.clear().await > first);
    assert!(bed.value("a").await.is_none() && bed.value("b").await.is_none());
    assert!(matches!(theirs().await, Lookup::Hit(_)));
    bed.invalidate(Target::Tenant(TenantId::new("acme").unwrap())).await;
    assert!(matches!(theirs().await, Lookup::Miss));
    assert_eq!(bed.store.stats().invalidated, 4);
}

#[tokio::test]
async fn a_cleared_space_gives_its_bytes_back_without_being_read() {
    let bed = bed();
    for n in 0..500 {
        bed.set(&n.to_string(), forever("v")).await;
    }
    bed.clear().await;
    bed.store.maintain();
    assert_eq!((bed.store.stats().entries, bed.store.stats().bytes), (0, 0));
}

#[tokio::test]
async fn a_write_that_is_refused_leaves_no_outdated_value() {
    let bed = bed();
    bed.set("a", forever("old")).await;
    let lease = bed.lease("b").await;
    let error = bed.write(key("a"), forever(&"x".repeat(200_000)), When::Always).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().starts_with("value must take at most 131072 bytes with its key, but 200"), "{error}");
    assert!(bed.value("a").await.is_none());
    bed.write(key("b"), forever(&"x".repeat(200_000)), When::IfLease(lease.id)).await.unwrap_err();
    bed.lease("b").await;
    assert_eq!((bed.store.stats().too_large, bed.store.stats().evictions), (2, 0));
}

#[tokio::test]
async fn a_refused_refresh_leaves_the_stale_value_and_ends_its_lease() {
    let bed = bed();
    bed.set("a", living("old", 10, 60)).await;
    bed.clock.advance(secs(11));
    let Lookup::Stale(_, Some(lease)) = bed.ask("a").await else { panic!() };
    bed.write(key("a"), forever(&"x".repeat(200_000)), When::IfLease(lease.id)).await.unwrap_err();
    assert!(matches!(bed.ask("a").await, Lookup::Stale(_, Some(_))));
}

#[tokio::test]
async fn what_must_be_sealed_is_refused_unless_it_is() {
    let bed = bed();
    let mut entry = forever("secret");
    entry.options.encrypt = Some(true);
    let error = bed.write(key("a"), entry.clone(), When::Always).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Unsupported, "nothing in this stack seals values")
    );
    entry.content.sealed = true;
    bed.set("a", entry).await;
}

#[tokio::test]
async fn a_full_store_evicts_what_is_not_read_and_any_legal_value_fits() {
    let bed = bed_with(|builder| builder.shards(1));
    for n in 0..2000 {
        bed.set(&n.to_string(), forever(&"x".repeat(1000))).await;
        bed.get("0").await;
        assert!(bed.store.stats().bytes <= 1 << 20);
    }
    let stats = bed.store.stats();
    assert!(stats.evictions > 1000 && stats.bytes > (1 << 20) * 9 / 10, "{stats:?}");
    // Which of the others stay is chance: none was ever read.
    assert!(bed.value("0").await.is_some());
    bed.set("big", forever(&"x".repeat(130_000))).await;
    assert!(bed.value("big").await.is_some());
}

#[tokio::test]
async fn room_is_made_in_other_shards_when_the_own_one_is_empty() {
    let bed = bed_with(|builder| builder.shards(16));
    for n in 0..5000 {
        bed.set(&n.to_string(), forever("")).await;
    }
    for n in 0..100 {
        let name = format!("big {n}");
        bed.set(&name, forever(&"x".repeat(120_000))).await;
        assert!(bed.value(&name).await.is_some());
        assert!(bed.store.stats().bytes <= 1 << 20);
    }
}

#[tokio::test]
async fn batches_keep_order_and_duplicates() {
    let bed = bed();
    bed.set("a", forever("1")).await;
    let items = ["b", "a", "a"].map(|name| GetItem::from(key(name)));
    let op = Get { items: OneOrMany::Many(items.into()), on_miss: OnMiss::Lease, scope: Scope::default() };
    let found: Vec<_> = bed.store.get(op).await.unwrap().into_iter().map(Result::unwrap).collect();
    assert!(matches!(found[..], [Lookup::Leased(_), Lookup::Hit(_), Lookup::Hit(_)]));
    let none = Get { items: OneOrMany::Many(vec![]), on_miss: OnMiss::Wait, scope: Scope::default() };
    assert!(bed.store.get(none).await.unwrap().is_empty());
}

#[test]
fn settings_are_checked_as_a_whole() {
    let builder = MemoryStore::builder().max_bytes(1000).shards(3).lease_ttl(Duration::ZERO).max_leases(0);
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        error.to_string(),
        "shards must be a power of two, but 3 was given; \
         max_bytes must be 196608 to 9223372036854775807, but 1000 was given; \
         lease_ttl must be 1 ms to 3650 days, but 0ns was given; \
         max_leases must be 1 to 4294967295, but 0 was given"
    );
    assert!(MemoryStore::builder().build().is_ok());
}

#[tokio::test]
async fn forgotten_invalidations_cost_misses_and_never_outdated_answers() {
    let bed = bed_with(|builder| builder.max_tag_records(4));
    bed.set("old", tagged("v", "red")).await;
    bed.set("plain", forever("v")).await;
    bed.set("kept", tagged("v", "blue")).await;
    bed.invalidate_tag("red").await;
    for n in 0..1000 {
        bed.invalidate_tag(&n.to_string()).await;
    }
    assert!(bed.store.stats().invalidation_records <= 4);
    assert!(bed.value("old").await.is_none(), "hidden, although its record is forgotten");
    assert!(bed.value("kept").await.is_none(), "a miss is the price");
    assert!(bed.value("plain").await.is_some(), "no tag can hide what has none");
    bed.set("kept", tagged("v", "blue")).await;
    assert!(bed.value("kept").await.is_some());
}

#[tokio::test]
async fn borrowed_parts_find_what_an_address_stored() {
    let bed = bed();
    bed.set("a", forever("v")).await;
    let space = space("", "test");
    let parts = Parts::new(&space, b"a").unwrap();
    let shared = &bed.store.shared;
    let hash = shared.hash(&parts);
    let shard = shared.shard(hash).read();
    let id = shard.table.find(hash, &parts).unwrap();
    assert_eq!(shard.table.get(id).unwrap().value(), "v");
}

#[test]
fn handles_are_shared_between_threads_and_show_no_keys() {
    fn shared<T: Send + Sync + Clone + std::fmt::Debug + 'static>(value: &T) -> String {
        format!("{value:?}")
    }
    assert_eq!(shared(&bed().store), "MemoryStore { bytes: 0, max_bytes: 1048576, .. }");
    fn send<T: Send>(_: &T) {}
    send(&bed().store.get(Get::one(key("a"))));
}

#[tokio::test]
async fn a_plain_length_comes_back_whatever_it_is_and_is_charged_only_where_it_is_another() {
    let bed = bed();
    let mut bytes = Vec::new();
    for (n, value) in ["", "v", &"v".repeat(4096), &"v".repeat(4097)].into_iter().enumerate() {
        let own = value.len() as u64;
        for (m, plain_len) in [own, 0, 1, 5_000_000, u64::from(u32::MAX), u64::MAX].into_iter().enumerate() {
            for tagged_too in [false, true] {
                let name = format!("{n} {m} {tagged_too}");
                let mut entry = if tagged_too { tagged(value, "t") } else { forever(value) };
                entry.content.plain_len = plain_len;
                let before = bed.store.stats().bytes;
                bed.set(&name, entry.clone()).await;
                bytes.push(bed.store.stats().bytes - before);
                for _ in 0..2 {
                    let Lookup::Hit(held) = bed.get(&name).await else { panic!("{name}") };
                    assert_eq!((held.value.len(), held.meta.content), (value.len(), entry.content), "{name}");
                    assert_eq!(
                        bed.store.get_now(&Parts::new(&space("", "test"), name.as_bytes()).unwrap()),
                        Some(held.value)
                    );
                    // In the place of the first.
                    bed.set(&name, entry.clone()).await;
                }
                bed.remove(&name).await;
            }
        }
    }
    assert_eq!(bed.store.stats().bytes, 0);
    let (same, other) = (bytes[0], bytes[4]);
    assert_eq!(other - same, 4, "an empty value, with its own length and with another");
}
