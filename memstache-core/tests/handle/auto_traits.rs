//! What every public type is, whoever sends it where: checked by the compiler.

use std::fmt::Debug;

use memstache_core::{
    memoize::{ByRequest, ByTenant, Kept, Keyed, MemoKey, Memoize, MemoizeLayer, Recalled},
    testing::{
        Ending, Fault, Faults, Faulty, Gate, ManualClock, NaiveStore, Recorder, Recording, Sabotage, Slow, SlowLayer,
    },
    *,
};

fn is_shared<T: Send + Sync + Debug>() {}
fn is_sent<T: Send + Debug>() {}
fn sends<T: Send>(value: T) -> T {
    value
}

macro_rules! every {
    ($check:ident: $($type:ty),* $(,)?) => { $($check::<$type>();)* };
}

type Loader = fn(LoadContext<u32>) -> std::future::Ready<Result<u32>>;

#[test]
fn public_types_are_send_sync_and_debug() {
    every!(is_shared:
        Address, Parts<'static>, PlainNamer, Space, Cache<Json>, Cache<Json, Tenanted>, CacheBuilder<Json>, CacheStats,
        Fetched<u32>, LoadBuilder<'static, Json, &'static str, Loader, u32>, LoadContext<u32>, Loaded<u32>,
        LoadManyBuilder<'static, Json, &'static str, Loader, u32>, Outcome, Read<'static, Json>, Scoped, Tenanted,
        RemoveManyBuilder<'static, Json>, SetBuilder<'static, Json>, SetManyBuilder<'static, Json>, shape::Value, shape::Optional, shape::Entry,
        shape::Shared<shape::Value>,
        SystemClock, Tick, Coalesce<u8, u8>, Invalidation, Content, Encoding, Entry, EntryOptions, FormatId, Meta,
        NewEntry, Schema, Sequence, Tags, Version, BoxError, Error, ErrorKind, Lifetime, expiry::Freshness, KeyspaceName,
        Tag, TenantId, Consistency, Get, GetItem, Invalidate, Lease, LeaseId, Lookup, OnMiss, OneOrMany<u8>, Remove,
        Request, Response, Scope, Set, SetItem, Target, Touch, TouchItem, TouchKind, When, Written, ErasedService,
        NoNear, Stack<MemoryStore>, StoreService<NaiveStore>, TransformLayer<u8>, Transformed<u8, u8>, NoAccountant,
        Charge, Json, Lru, MemoryBuilder, MemoryStats, MemoryStore, SlotId, Near<ErasedService>, NearConfig, NearLayer,
        NearStats, Expected, FileRecords, FileRecordsBuilder, MemoryRecords, Record, RecordEvent, RecordKey,
        RecordPrefix, Fault, Faults, Faulty<u8>, Gate, ManualClock, NaiveStore, Sabotage, Recorder, Recording<u8>, Slow<u8>,
        ByRequest<u8, u8>, ByTenant<u8, u8>, Keyed<u8, u8>, Kept<u8, u8>, MemoKey, Memoize<u8, u8, u8>,
        MemoizeLayer<u8, u8>, Recalled,
        SlowLayer, testing::Call, Ending, testing::Outcome,
    );
}

#[test]
fn futures_and_streams_are_send_and_debug() {
    every!(is_sent:
        Call<u32>, LoadFuture<'static, u32>, Joined<u32>, InvalidationStream, MemoryFuture, NearFuture,
        RecordStream,
    );
}

#[tokio::test]
async fn the_futures_of_every_method_are_send() {
    let store = MemoryStore::builder().build().unwrap();
    let cache = Cache::builder(Stack::over(store).build()).keyspace("k").format(Json).build().unwrap();
    let space = cache.space().clone();
    let address = Address::plain(&space, "a").unwrap();
    sends(cache.set("a", &1).into_future()).await.unwrap();
    sends(cache.get::<u32>("a")).await.unwrap();
    sends(cache.try_get::<u32>("a")).await.unwrap();
    sends(cache.get_entry::<u32>("a")).await.unwrap();
    sends(cache.exists("a")).await.unwrap();
    sends(cache.touch("a")).await.unwrap();
    sends(cache.touch_ttl("a", std::time::Duration::from_secs(1))).await.unwrap();
    sends(cache.get_many::<u32>(["a"])).await.unwrap();
    sends(cache.get_arc::<u32>("a")).await.unwrap();
    sends(cache.get_many_arc::<u32>(["a"])).await.unwrap();
    sends(cache.set_many([("a", &1)]).into_future()).await.unwrap();
    sends(cache.remove_many(["a"])).await.unwrap();
    let load = cache.get_or_load("a", |_| async { Ok::<_, Error>(1) });
    assert_eq!(sends(load.into_future()).await.unwrap(), 1);
    let load = cache.get_many_or_load::<u32, _, _, _, _, _, _>(["b"], |_| async { Ok::<_, Error>(vec![("b", 2)]) });
    assert_eq!(sends(load.into_future()).await.unwrap().len(), 1);
    sends(cache.invalidate_tag("t")).await.unwrap();
    sends(cache.invalidate_tags(["t"])).await.unwrap();
    sends(cache.clear()).await.unwrap();
    sends(cache.run(Get::one(address))).await.unwrap();
    sends(cache.remove("a")).await.unwrap();
}
