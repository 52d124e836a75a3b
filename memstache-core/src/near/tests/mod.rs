//! Near caches over stores that are there, gone, or in the test's hands.

mod decoded;
mod stale;

use std::time::Duration;

use futures_util::stream;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::*;
use crate::{
    Cache, Coherence, Entry, ErasedService, Invalidation, InvalidationStream, Json, MemoryStore, Namer, Outcome, Parts,
    PlainNamer, Stack, StoreService, testing::ManualClock,
};

async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

fn store(clock: &ManualClock) -> MemoryStore {
    MemoryStore::builder().max_bytes(8 << 20).clock(clock.clone()).build().unwrap()
}

fn near(clock: &ManualClock) -> NearConfig {
    NearConfig::new(1 << 20).unwrap().with_clock(clock.clone())
}

fn cache(clock: &ManualClock, stack: ErasedService) -> Cache<Json> {
    let builder = Cache::builder(stack).keyspace("k").format(Json).clock(clock.clone());
    builder.ttl(Duration::from_secs(60)).stale_for(Duration::from_secs(60)).build().unwrap()
}

/// A leaf whose stream of changes is in the test's hands, and which can be cut off.
#[derive(Clone)]
struct Cut {
    store: MemoryStore,
    down: Arc<std::sync::atomic::AtomicBool>,
    subscribers: Arc<Mutex<Vec<mpsc::UnboundedSender<Invalidation>>>>,
}

impl Cut {
    fn new(clock: &ManualClock) -> Self {
        Self { store: store(clock), down: Arc::default(), subscribers: Arc::default() }
    }

    async fn tell(&self, change: Invalidation) {
        self.subscribers.lock().iter().for_each(|sender| drop(sender.send(change.clone())));
        settle().await;
    }
}

impl Coherence for Cut {
    fn subscribe(&self) -> InvalidationStream {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.subscribers.lock().push(sender);
        InvalidationStream::new(stream::unfold(receiver, |mut receiver| async move {
            let change = receiver.recv().await?;
            Some((change, receiver))
        }))
    }
}

impl tower_service::Service<crate::Request> for Cut {
    type Response = crate::Response;
    type Error = Error;
    type Future = crate::BoxFuture<'static, Result<crate::Response>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: crate::Request) -> Self::Future {
        if self.down.load(std::sync::atomic::Ordering::SeqCst) {
            return Box::pin(async { Err(Error::new(crate::ErrorKind::Unavailable, "cut off")) });
        }
        Box::pin(tower_service::Service::call(&mut self.store.clone(), request))
    }
}

#[tokio::test]
async fn a_gap_flushes_and_a_lost_line_leaves_copies_unverified() {
    let clock = ManualClock::new();
    let leaf = Cut::new(&clock);
    let cache = cache(&clock, Stack::over(leaf.clone()).near(near(&clock)).build());
    cache.set("a", &1).await.unwrap();
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
    leaf.down.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1), "a verified copy needs nothing from below");

    leaf.tell(Invalidation::Lost).await;
    assert!(cache.get::<u8>("a").await.is_ok_and(|value| value.is_none()), "not served as fresh");
    let stale = cache.get_entry::<u8>("a").await.unwrap();
    assert_eq!((stale.value, stale.outcome), (Some(1), Outcome::Stale));

    leaf.tell(Invalidation::Restored).await;
    assert_eq!(cache.get_entry::<u8>("a").await.unwrap().outcome, Outcome::Hit, "confirmed: nothing was missed");
    leaf.tell(Invalidation::Gap).await;
    assert!(cache.get::<u8>("a").await.is_err(), "flushed, and below is down");
}

#[tokio::test]
async fn an_unverified_copy_is_never_served_past_max_staleness() {
    let clock = ManualClock::new();
    let leaf = Cut::new(&clock);
    let cache = cache(&clock, Stack::over(leaf.clone()).near(near(&clock)).build());
    cache.set("a", &1).await.unwrap();
    cache.get::<u8>("a").await.unwrap();
    leaf.tell(Invalidation::Lost).await;
    leaf.down.store(true, std::sync::atomic::Ordering::SeqCst);
    clock.advance(Duration::from_secs(11));
    let capped = cache.read().allow_stale().max_staleness(Duration::from_secs(10));
    assert!(capped.get::<u8>("a").await.is_err());
    let wider = cache.read().allow_stale().max_staleness(Duration::from_secs(12));
    assert_eq!(wider.get::<u8>("a").await.unwrap(), Some(1));
}

#[tokio::test]
async fn a_stream_that_ends_is_subscribed_to_again_and_everything_is_dropped() {
    let clock = ManualClock::new();
    let leaf = Cut::new(&clock);
    let cache = cache(&clock, Stack::over(leaf.clone()).near(near(&clock)).build());
    cache.set("a", &1).await.unwrap();
    cache.get::<u8>("a").await.unwrap();
    leaf.subscribers.lock().clear();
    settle().await;
    leaf.down.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(cache.get_entry::<u8>("a").await.unwrap().outcome, Outcome::Stale, "unverified meanwhile");
    clock.advance(Duration::from_secs(1));
    settle().await;
    assert_eq!(leaf.subscribers.lock().len(), 1);
    assert!(cache.get::<u8>("a").await.is_err(), "dropped");
}

#[tokio::test]
async fn another_caches_writes_drop_the_copy() {
    let clock = ManualClock::new();
    let store = store(&clock);
    let stack = || Stack::over(store.clone()).near(near(&clock)).build();
    let (here, there) = (cache(&clock, stack()), cache(&clock, stack()));
    here.set("a", &1).tags(["t"]).await.unwrap();
    assert_eq!(here.get::<u8>("a").await.unwrap(), Some(1));
    assert_eq!(there.get::<u8>("a").await.unwrap(), Some(1));
    there.set("a", &2).tags(["t"]).await.unwrap();
    assert_eq!(there.get::<u8>("a").await.unwrap(), Some(2), "its own write at once");
    settle().await;
    assert_eq!(here.get::<u8>("a").await.unwrap(), Some(2));
    here.invalidate_tag("t").await.unwrap();
    assert_eq!(here.get::<u8>("a").await.unwrap(), None, "its own invalidation at once");
    settle().await;
    assert_eq!(there.get::<u8>("a").await.unwrap(), None);
}

#[tokio::test]
async fn blind_names_are_found_by_their_stored_key() {
    #[derive(Debug)]
    struct Reversed;
    impl Namer for Reversed {
        fn stored(&self, parts: &Parts<'_>) -> Result<Option<Arc<[u8]>>> {
            Ok(Some(parts.name().iter().rev().copied().collect()))
        }
    }
    let clock = ManualClock::new();
    let leaf = Cut::new(&clock);
    let stack = Stack::over(leaf.clone()).near(near(&clock)).build();
    let cache = Cache::builder(stack).keyspace("k").format(Json).clock(clock).namer(Reversed).build().unwrap();
    cache.set("abc", &1).await.unwrap();
    assert_eq!(cache.get::<u8>("abc").await.unwrap(), Some(1));
    leaf.down.store(true, std::sync::atomic::Ordering::SeqCst);
    leaf.tell(Invalidation::Stored(b"xyz".as_slice().into())).await;
    assert_eq!(cache.get::<u8>("abc").await.unwrap(), Some(1));
    leaf.tell(Invalidation::Stored(b"cba".as_slice().into())).await;
    assert!(cache.get::<u8>("abc").await.is_err());
}

#[tokio::test]
async fn plain_names_are_found_by_their_stored_key_even_with_colons() {
    let clock = ManualClock::new();
    let leaf = Cut::new(&clock);
    let cache = cache(&clock, Stack::over(leaf.clone()).near(near(&clock)).build());
    cache.set("a:b:c", &1).await.unwrap();
    cache.get::<u8>("a:b:c").await.unwrap();
    leaf.down.store(true, std::sync::atomic::Ordering::SeqCst);
    leaf.tell(Invalidation::Stored(b"no colons".as_slice().into())).await;
    assert_eq!(cache.get::<u8>("a:b:c").await.unwrap(), Some(1));
    leaf.tell(Invalidation::Stored(b":k:a:b:c".as_slice().into())).await;
    assert!(cache.get::<u8>("a:b:c").await.is_err());
}

#[tokio::test]
async fn sliding_hits_are_told_below_once_and_keep_both_alive() {
    let clock = ManualClock::new();
    let store = store(&clock);
    let plain = Cache::builder(Stack::over(store.clone()).build()).keyspace("k").format(Json).clock(clock.clone());
    let plain = plain.build().unwrap();
    let cache = cache(&clock, Stack::over(store.clone()).near(near(&clock)).build());
    cache.set("a", &1).sliding(Duration::from_secs(10)).await.unwrap();
    cache.get::<u8>("a").await.unwrap();
    for _ in 0..4 {
        clock.advance(Duration::from_secs(6));
        settle().await;
        assert_eq!(cache.get_entry::<u8>("a").await.unwrap().outcome, Outcome::Hit);
        settle().await;
        assert!(plain.exists("a").await.unwrap(), "the original was told of the read");
    }
    plain.remove("a").await.unwrap();
    settle().await;
    assert_eq!(cache.get::<u8>("a").await.unwrap(), None);
}

#[tokio::test]
async fn an_answer_that_was_overtaken_is_not_kept() {
    let clock = ManualClock::new();
    let (copies, _touches) = Copies::new(near(&clock));
    let space = crate::Space::new(None, &crate::KeyspaceName::new("k").unwrap());
    let address = Parts::new(&space, b"a").unwrap().to_address(&PlainNamer).unwrap();
    let entry = crate::NewEntry::new("v", crate::Lifetime::UNLIMITED).into_entry(
        clock.now(),
        crate::Version(1),
        crate::Sequence(0),
    );
    let held = || copies.find(&address, &crate::Scope::default(), clock.now()).is_some();
    let ticket = copies.ticket(&address);
    copies.drop_copy(&address);
    copies.insert(&address, entry.clone(), &ticket);
    assert!(!held(), "removed while it was asked for");
    let ticket = copies.ticket(&address);
    copies.flush();
    copies.insert(&address, entry.clone(), &ticket);
    assert!(!held(), "flushed while it was asked for");
    let ticket = copies.ticket(&address);
    copies.insert(&address, entry, &ticket);
    assert!(held());
    assert_eq!(copies.stats().overtaken, 2);
}

#[tokio::test]
async fn a_near_cache_stays_within_its_bytes() {
    let clock = ManualClock::new();
    let config = NearConfig::new(MIN_NEAR_BYTES).unwrap().with_clock(clock.clone());
    let (copies, _touches) = Copies::new(config);
    let space = crate::Space::new(None, &crate::KeyspaceName::new("k").unwrap());
    for n in 0..2000u32 {
        let address = Parts::new(&space, &n.to_be_bytes()).unwrap().to_address(&PlainNamer).unwrap();
        let value = vec![0; (n as usize * 37) % 600];
        let entry = crate::NewEntry::new(value, crate::Lifetime::UNLIMITED).into_entry(
            clock.now(),
            crate::Version(1),
            crate::Sequence(0),
        );
        let ticket = copies.ticket(&address);
        copies.insert(&address, entry, &ticket);
        assert!(copies.stats().bytes <= MIN_NEAR_BYTES, "{:?}", copies.stats());
    }
    assert!(copies.stats().entries > 0, "{:?}", copies.stats());
    assert!(NearConfig::new(MIN_NEAR_BYTES - 1).unwrap_err().to_string().contains("near max_bytes"));
}

#[tokio::test]
async fn the_follower_ends_with_the_near_cache() {
    let clock = ManualClock::new();
    let leaf = Cut::new(&clock);
    let stack = Stack::over(leaf.clone()).near(near(&clock)).build();
    stack
        .dispatch(crate::Get::one(
            Parts::new(&crate::Space::new(None, &crate::KeyspaceName::new("k").unwrap()), b"a")
                .unwrap()
                .to_address(&PlainNamer)
                .unwrap(),
        ))
        .await
        .unwrap();
    drop(stack);
    settle().await;
    assert!(leaf.subscribers.lock()[0].is_closed());
}

#[tokio::test]
async fn authority_reads_pass_by() {
    let clock = ManualClock::new();
    let leaf = Cut::new(&clock);
    let cache = cache(&clock, Stack::over(leaf.clone()).near(near(&clock)).build());
    cache.set("a", &1).await.unwrap();
    cache.get::<u8>("a").await.unwrap();
    leaf.down.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
    assert!(cache.read().authority().get::<u8>("a").await.is_err());
    assert!(cache.read().authority().allow_stale().get::<u8>("a").await.is_err());
}

#[test]
fn a_near_stack_is_built_outside_of_a_runtime() {
    let store = MemoryStore::builder().build().unwrap();
    let stack = Stack::over(store).near(NearConfig::new(1 << 20).unwrap()).build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cache = Cache::builder(stack).keyspace("k").format(Json).build().unwrap();
    runtime.block_on(async { cache.set("a", &1).await }).unwrap();
    assert_eq!(runtime.block_on(cache.get::<u8>("a")).unwrap(), Some(1));
}

#[tokio::test]
async fn stores_without_a_near_cache_need_no_coherence() {
    let clock = ManualClock::new();
    let naive = crate::testing::NaiveStore::new(Arc::new(clock.clone()));
    let cache = cache(&clock, Stack::over(StoreService::new(naive)).build());
    cache.set("a", &1).await.unwrap();
    assert_eq!(cache.get::<u8>("a").await.unwrap(), Some(1));
}

#[tokio::test]
async fn a_decoded_value_goes_and_is_unverified_with_its_copy() {
    let clock = ManualClock::new();
    let leaf = Cut::new(&clock);
    let cache = cache(&clock, Stack::over(leaf.clone()).near(near(&clock)).build());
    cache.set("a", &1).tags(["t"]).await.unwrap();
    let arc = async || cache.get_arc::<u8>("a").await.map(|value| value.map(|value| *value));
    for _ in 0..3 {
        assert_eq!(arc().await.unwrap(), Some(1));
    }
    let down = |down| leaf.down.store(down, std::sync::atomic::Ordering::SeqCst);
    down(true);
    assert_eq!(arc().await.unwrap(), Some(1), "a verified value needs nothing from below");
    leaf.tell(Invalidation::Lost).await;
    assert_eq!(arc().await.unwrap(), None, "not served as fresh");
    let stale = cache.read().allow_stale().get_arc::<u8>("a").await.unwrap();
    assert_eq!(stale.as_deref(), Some(&1));
    leaf.tell(Invalidation::Restored).await;
    assert_eq!(arc().await.unwrap(), Some(1), "confirmed: nothing was missed");
    let address = cache.address("a").unwrap();
    let tag = Invalidation::Tag(address.space(), crate::Tag::new("t").unwrap(), crate::Sequence(1 << 40));
    leaf.tell(tag).await;
    assert!(arc().await.is_err(), "hidden by its tag");
    for gone in [Invalidation::Gap, Invalidation::Address(address.clone())] {
        down(false);
        cache.set("b", &1).await.unwrap();
        cache.set("a", &1).await.unwrap();
        for _ in 0..3 {
            assert_eq!(arc().await.unwrap(), Some(1));
        }
        down(true);
        assert_eq!(arc().await.unwrap(), Some(1));
        leaf.tell(gone).await;
        assert!(arc().await.is_err());
    }
    assert_eq!(cache.stats().rejected_decode, 0);
}

#[tokio::test]
async fn decoded_values_are_charged_and_make_room() {
    let clock = ManualClock::new();
    let (copies, _touches) = Copies::new(NearConfig::new(MIN_NEAR_BYTES).unwrap().with_clock(clock.clone()));
    let view = NearView(Arc::clone(&copies));
    let space = crate::Space::new(None, &crate::KeyspaceName::new("k").unwrap());
    let (scope, now) = (crate::Scope::default(), clock.now());
    let wanted = crate::DecodedAs::new(std::any::TypeId::of::<u32>(), crate::FormatId::default(), None);
    let get =
        |name: &[u8]| crate::TryHit::try_decoded(&view, &Parts::new(&space, name).unwrap(), &scope, now, &wanted, None);
    let mut kept = 0;
    for n in 0..2000u32 {
        // A name stands in its place unless it is long.
        let (name, place) =
            [(n.to_be_bytes().to_vec(), 149), ([n.to_be_bytes(); 6].concat(), 149 + 24)][n as usize % 2].clone();
        let parts = Parts::new(&space, &name).unwrap();
        let address = parts.to_address(&PlainNamer).unwrap();
        let value = vec![0; (n as usize * 37) % 600];
        let entry = crate::NewEntry::new(value, crate::Lifetime::UNLIMITED).into_entry(
            now,
            crate::Version(n.into()),
            crate::Sequence(0),
        );
        copies.insert(&address, entry, &copies.ticket(&address));
        let held = crate::TryHit::try_hit(&view, &parts, &scope, now).unwrap();
        let (before, weight) = (copies.stats(), (n as usize * 91) % 1400);
        crate::TryHit::keep_decoded(&view, &parts, &held, Arc::new(n), weight);
        let after = copies.stats();
        assert!(after.bytes <= MIN_NEAR_BYTES, "{after:?}");
        if let Some(value) = get(&name) {
            kept += 1;
            assert_eq!(*value.downcast::<u32>().unwrap(), n);
            assert!(
                after.entries < before.entries || after.bytes == before.bytes + weight + place,
                "{before:?} {after:?}"
            );
        }
        assert!(weight <= MIN_NEAR_BYTES / 64 || get(&name).is_none(), "too large to be kept");
        // What was decoded from bytes that are not held any more is not kept, whatever their version says.
        let other = Entry { value: held.value.to_vec().into(), meta: held.meta.clone() };
        copies.drop_copy(&address);
        copies.insert(&address, held, &copies.ticket(&address));
        crate::TryHit::keep_decoded(&view, &parts, &other, Arc::new(n + 1), 8);
        assert!(other.value.is_empty() || get(&name).is_none());
    }
    assert!(kept > 1000, "{kept}");
    copies.flush();
    assert_eq!((copies.stats().entries, copies.stats().bytes), (0, 0));
}

#[tokio::test]
async fn an_invalidation_of_which_nobody_knows_drops_what_it_may_hide_and_no_more() {
    use crate::{KeyspaceName, Scope, Sequence, Space, Tag, Tags, Target, TenantId, Version};

    let tenant = |name: &str| (!name.is_empty()).then(|| TenantId::new(name).unwrap());
    let space = |name: &str, keyspace: &str| Space::new(tenant(name).as_ref(), &KeyspaceName::new(keyspace).unwrap());
    let red = || Tag::new("red").unwrap();
    let all = [("a", "k", true), ("a", "k", false), ("a", "j", true), ("ab", "k", true), ("", "k", true)];
    for (target, gone) in [
        (Target::Tag(space("a", "k"), red()), &[0, 1][..]),
        (Target::Tag(space("a", "k"), Tag::new("blue").unwrap()), &[0, 1]),
        (Target::Space(space("a", "k")), &[0, 1]),
        (Target::Space(space("", "k")), &[4]),
        (Target::Tenant(tenant("a").unwrap()), &[0, 1, 2]),
        (Target::Tenant(tenant("k").unwrap()), &[]),
    ] {
        let clock = ManualClock::new();
        let (copies, _touches) = Copies::new(near(&clock));
        let addresses = (0..)
            .zip(all)
            .map(|(at, (name, keyspace, _))| crate::Address::plain(&space(name, keyspace), format!("n{at}")).unwrap());
        let addresses: Vec<_> = addresses.collect();
        let entry = |tagged: bool| {
            let tags = if tagged { Tags::new([red()]).unwrap() } else { Tags::NONE };
            let entry = crate::NewEntry::new("v", crate::Lifetime::UNLIMITED).with_tags(tags);
            entry.into_entry(clock.now(), Version(1), Sequence(0))
        };
        for (address, (_, _, tagged)) in addresses.iter().zip(all) {
            assert!(copies.insert(address, entry(tagged), &copies.ticket(address)));
        }
        let ticket = copies.ticket(&addresses[0]);
        copies.drop_all_of(std::slice::from_ref(&target));
        for (at, address) in addresses.iter().enumerate() {
            let held = copies.find(address, &Scope::default(), clock.now()).is_some();
            assert_eq!(held, !gone.contains(&at), "{target:?} and the copy at {at}");
        }
        assert_eq!(copies.stats().invalidated, gone.len() as u64);
        assert!(!copies.insert(&addresses[0], entry(true), &ticket), "what was asked for before is not kept");
    }
}

#[tokio::test]
async fn a_read_of_the_nearest_is_answered_here_fresh_or_stale_and_asks_nobody_below() {
    use crate::{Consistency, Get, Lookup, Scope};
    let (clock, leaf) = (ManualClock::new(), Cut::new(&ManualClock::new()));
    let leaf = Cut { store: store(&clock), ..leaf };
    let (stack, view) = Stack::over(leaf.clone()).near(near(&clock)).build_with_view();
    let cache = cache(&clock, stack);
    cache.set("held", &1).await.unwrap();
    cache.set("below", &2).await.unwrap();
    assert_eq!(cache.get::<u32>("held").await.unwrap(), Some(1));
    leaf.down.store(true, std::sync::atomic::Ordering::SeqCst);
    let ask = async |key: &str| {
        let scope = Scope { consistency: Consistency::Nearest, ..Scope::default() };
        let get = Get { scope, ..Get::one(cache.address(key).unwrap()) };
        cache.run(get).await.unwrap().into_one().unwrap().unwrap()
    };
    assert!(matches!(ask("held").await, Lookup::Hit(_)));
    assert!(matches!(ask("below").await, Lookup::Miss));
    clock.advance(Duration::from_secs(61));
    assert!(matches!(ask("held").await, Lookup::Stale(_, None)));
    clock.advance(Duration::from_secs(60));
    assert!(matches!(ask("held").await, Lookup::Miss));
    assert_eq!(view.stats().hits, 1);
}
