//! A rolling deploy: old and new code over one store, and neither decodes the other's values.

use memstache_codec::{Formats, NamedFormat, Raw};
use memstache_core::{Cache, CacheBuilder, Format, HasSchema, MemoryStore, Stack};
use serde::{Deserialize, Serialize};

mod old {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(crate) struct User {
        pub(crate) age: u8,
        pub(crate) score: u8,
    }

    impl HasSchema for User {
        const NAME: &'static str = "user";
    }
}

mod new {
    use super::*;

    /// The same two bytes in postcard and bincode, the other way round.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(crate) struct User {
        pub(crate) score: u8,
        pub(crate) age: u8,
    }

    impl HasSchema for User {
        const NAME: &'static str = "user";
        const VERSION: u32 = 2;
    }
}

fn handle<F: Format>(store: &MemoryStore, format: F) -> CacheBuilder<F> {
    Cache::builder(Stack::over(store.clone()).build()).keyspace("users").format(format)
}

fn named() -> Vec<NamedFormat> {
    let formats = Formats::new();
    formats.names().filter(|name| *name != "raw").map(|name| formats.named(name).unwrap()).collect()
}

#[tokio::test]
async fn another_version_is_a_clean_miss_in_every_format() {
    for format in named() {
        let store = MemoryStore::builder().build().unwrap();
        let before = handle(&store, format.clone()).schema_of::<old::User>().build().unwrap();
        let after = handle(&store, format.clone()).schema_of::<new::User>().build().unwrap();
        before.set("7", &old::User { age: 40, score: 9 }).await.unwrap();
        assert_eq!(after.get::<new::User>("7").await.unwrap(), None, "{format:?}");
        let stats = after.stats();
        assert_eq!((stats.misses, stats.errors, stats.rejected_schema, stats.rejected_decode), (1, 0, 1, 0));

        let load = |_| async { Ok::<_, std::io::Error>(new::User { score: 9, age: 40 }) };
        assert_eq!(after.get_or_load("7", load).await.unwrap(), new::User { score: 9, age: 40 });
        assert_eq!(before.get::<old::User>("7").await.unwrap(), None, "and the old code has a miss");
        assert_eq!(before.stats().rejected_schema, 1);
        assert_eq!(after.get::<new::User>("7").await.unwrap(), Some(new::User { score: 9, age: 40 }));
    }
}

#[tokio::test]
async fn another_format_is_a_clean_miss() {
    let formats = named();
    for (writes, reads) in formats.iter().flat_map(|writes| formats.iter().map(move |reads| (writes, reads))) {
        let store = MemoryStore::builder().build().unwrap();
        handle(&store, writes.clone()).build().unwrap().set("7", &(1u8, 2u8)).await.unwrap();
        let reader = handle(&store, reads.clone()).build().unwrap();
        let found = reader.get::<(u8, u8)>("7").await.unwrap();
        assert_eq!(found.is_some(), writes.id() == reads.id(), "{writes:?} {reads:?}");
        assert_eq!(reader.stats().rejected_format, u64::from(writes.id() != reads.id()));
    }
}

#[tokio::test]
async fn raw_values_have_schemas_too() {
    let store = MemoryStore::builder().build().unwrap();
    handle(&store, Raw).schema("page", 1).build().unwrap().set("7", "tea").await.unwrap();
    let after = handle(&store, Raw).schema("page", 2).build().unwrap();
    assert_eq!(after.get::<String>("7").await.unwrap(), None);
    assert_eq!(after.stats().rejected_schema, 1);
}
