//! What happens when a stored value cannot be opened, as a service sees it: a miss, one counted reason, and nothing of it in
//! a parser.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use bytes::Bytes;
use memstache_core::{
    Cache, Entry, Format, FormatId, Get, Json, Lifetime, Lookup, MemoryStore, NewEntry, Request, Result, Set, Space,
    Stack,
};
use memstache_crypto::{DataKeys, FixedKeys, KeyFailure, KeyId, KeyLookup, NameKey, Seal};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use tower::ServiceExt as _;

use crate::{
    kit::{builder, found, keys},
    tampering::reason,
};

/// JSON that counts what it is given to decode.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Format for Counting {
    fn id(&self) -> FormatId {
        Json.id()
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes> {
        Json.encode(value)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        self.0.fetch_add(1, SeqCst);
        Json.decode(bytes)
    }
}

/// Keys that open nothing from a moment on, for a reason.
#[derive(Debug)]
struct Ending {
    keys: FixedKeys,
    end: Arc<Mutex<Option<KeyFailure>>>,
}

impl DataKeys for Ending {
    fn sealing(&self, space: &Space) -> KeyLookup {
        self.keys.sealing(space)
    }

    fn opening(&self, space: &Space, id: KeyId) -> KeyLookup {
        (*self.end.lock()).map_or_else(|| self.keys.opening(space, id), KeyLookup::Failed)
    }

    fn naming(&self, space: &Space) -> Option<Arc<NameKey>> {
        self.keys.naming(space)
    }
}

struct Bed {
    end: Arc<Mutex<Option<KeyFailure>>>,
    decoded: Arc<AtomicUsize>,
    seal: Seal,
    store: MemoryStore,
    users: Cache<Counting>,
}

/// What was done, by whom, to `ada`; `bob` is left alone.
type Harm = for<'a> fn(&'a Bed, Entry) -> Option<NewEntry>;

impl Bed {
    fn new() -> Self {
        let (end, format) = (Arc::default(), Counting::default());
        let (builder, clock) = builder(Ending { keys: keys(1), end: Arc::clone(&end) });
        let seal = builder.build().unwrap();
        let store = MemoryStore::builder().clock(clock).build().unwrap();
        let stack = Stack::over(store.clone()).seal(seal.clone()).build();
        let users = Cache::builder(stack).keyspace("users").format(format.clone()).build().unwrap();
        Self { end, decoded: format.0, seal, store, users }
    }

    async fn get(&self, name: &str) -> Option<String> {
        self.users.get::<String>(name).await.unwrap()
    }

    async fn harm(&self, harm: Harm) {
        let address = self.users.address("ada").unwrap();
        let request = Request::Get(Get::one(address.clone()));
        let Ok(Lookup::Hit(entry)) = found(self.store.clone().oneshot(request).await.unwrap()) else {
            panic!("a miss")
        };
        if let Some(harmed) = harm(self, entry) {
            self.store.clone().oneshot(Request::Set(Set::one(address, harmed))).await.unwrap();
        }
    }
}

/// The entry with other bytes.
fn changed(entry: &Entry, change: impl FnOnce(&mut Vec<u8>)) -> Option<NewEntry> {
    let mut bytes = entry.value.to_vec();
    change(&mut bytes);
    let mut new = NewEntry::new(bytes, Lifetime::UNLIMITED);
    new.content = entry.meta.content;
    Some(new)
}

fn ends(bed: &Bed, failure: KeyFailure) -> Option<NewEntry> {
    *bed.end.lock() = Some(failure);
    None
}

/// What was done to a stored value, and under which reason it is counted.
const TABLE: [(&str, Harm, &str); 9] = [
    ("another thing altogether", |_, entry| changed(&entry, |bytes| bytes.fill(0xFF)), "magic"),
    ("cut short", |_, entry| changed(&entry, |bytes| bytes.truncate(50)), "length"),
    ("a flipped bit of the text", |_, entry| changed(&entry, |bytes| bytes[100] ^= 1), "tag"),
    ("a flipped bit of the tag", |_, entry| changed(&entry, |bytes| *bytes.last_mut().unwrap() ^= 1), "tag"),
    ("a key that nobody knows", |_, entry| changed(&entry, |bytes| bytes[4] ^= 1), "key_unknown"),
    ("its key retired", |bed, _| ends(bed, KeyFailure::Retired), "key_retired"),
    ("its key was revoked", |bed, _| ends(bed, KeyFailure::Revoked), "key_revoked"),
    ("a vault out of reach", |bed, _| ends(bed, KeyFailure::Unavailable { retry_after: None }), "key_unavailable"),
    (
        "somebody planted plaintext",
        |_, _| {
            let mut planted = NewEntry::new("\"planted\"", Lifetime::UNLIMITED);
            planted.content.format = Json.id();
            Some(planted)
        },
        "downgrade",
    ),
];

#[tokio::test]
async fn what_cannot_be_opened_is_a_miss_with_one_reason_and_is_never_decoded() {
    for (what, harm, why) in TABLE {
        let bed = Bed::new();
        bed.users.set("ada", "a value that is long enough to be changed in its midst").await.unwrap();
        bed.users.set("bob", "left alone").await.unwrap();
        assert!(bed.get("ada").await.unwrap().starts_with("a value"), "{what}");
        assert_eq!(bed.decoded.swap(0, SeqCst), 1, "the count counts");

        bed.harm(harm).await;
        let before = bed.seal.stats();
        assert_eq!(bed.get("ada").await, None, "{what}");
        assert_eq!(reason(before, bed.seal.stats()), why, "{what}");
        assert_eq!(bed.decoded.load(SeqCst), 0, "{what}");
        let before = bed.seal.stats();
        let many = bed.users.get_many::<String>(["ada"]).await.unwrap();
        assert_eq!(many.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [None], "{what}");
        assert_eq!(reason(before, bed.seal.stats()), why, "{what}, of many");
        assert_eq!(bed.decoded.load(SeqCst), 0, "{what}, of many");

        // Once there are keys again, a write heals it, and nothing else was harmed.
        *bed.end.lock() = None;
        bed.users.set("ada", "new").await.unwrap();
        assert_eq!(bed.get("ada").await.as_deref(), Some("new"), "{what}");
        assert_eq!(bed.get("bob").await.as_deref(), Some("left alone"), "{what}");
    }
}
