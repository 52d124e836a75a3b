//! Samples of a server that keeps a table of lengths.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use memstache_core::{Error, ErrorKind, testing::ManualClock};
use parking_lot::Mutex;
use tokio::{runtime::Handle, task};

use super::*;
use crate::{
    client::{Client, Command, Failure, Guarded, Node, Reply, Topology, slot_of},
    layout::{HEAD_LEN, Keys},
};

/// What the server adds to the length of a value.
const OVERHEAD: u64 = 100;

/// Keeps keys and the lengths of their values.
#[derive(Debug, Default)]
struct Server {
    keys: BTreeMap<Bytes, usize>,
    /// The keys of each server.
    held: OnceLock<[Vec<Bytes>; 2]>,
    /// A Cluster of two, each with half of the slots.
    cluster: bool,
    /// Answers this command so.
    odd: Option<(&'static str, Result<Reply, Failure>)>,
    /// `SCAN` comes to no end.
    endless: bool,
    /// No command ever ends.
    hangs: AtomicBool,
    /// No primary is known.
    lost: bool,
    /// Passes with each command.
    clock: ManualClock,
    pace: Duration,
    /// Gets slots of another with the first command.
    moved: AtomicBool,
    moves: bool,
    sent: Mutex<HashMap<&'static str, usize>>,
    random: Mutex<fastrand::Rng>,
    under_way: Arc<AtomicUsize>,
    most: AtomicUsize,
}

impl Server {
    fn with(tenants: &[(&str, usize, usize)]) -> Self {
        let keys = tenants.iter().flat_map(|(tenant, count, len)| {
            (0..*count).map(move |at| (value_key(&format!("{tenant}:items:{at}")), HEAD_LEN + len))
        });
        Self { keys: keys.collect(), random: Mutex::new(fastrand::Rng::with_seed(7)), ..Self::default() }
    }

    fn odd(self, command: &'static str, answer: Result<Reply, Failure>) -> Self {
        Self { odd: Some((command, answer)), ..self }
    }

    fn sent(&self, command: &str) -> usize {
        self.sent.lock().get(command).copied().unwrap_or_default()
    }

    /// Returns the keys of the server of a slot.
    fn held(&self, slot: u16) -> &[Bytes] {
        let is_second = |slot| self.cluster && slot >= 8192;
        let held = self.held.get_or_init(|| {
            let (second, first) = self.keys.keys().cloned().partition(|key| is_second(slot_of(key)));
            [first, second]
        });
        &held[usize::from(is_second(slot))]
    }

    fn answer(&self, slot: u16, command: &Command) -> Reply {
        let number = |number: usize| Reply::Int(i64::try_from(number).unwrap());
        match command.name {
            "DBSIZE" => number(self.held(slot).len()),
            "RANDOMKEY" => {
                let held = self.held(slot);
                held.get(self.random.lock().usize(..held.len().max(1))).map_or(Reply::Nil, text)
            }
            "SCAN" => {
                assert_eq!(command.args[1..4], ["MATCH", "ms:v*", "COUNT"]);
                let from: usize = std::str::from_utf8(&command.args[0]).unwrap().parse().unwrap();
                let held = self.held(slot);
                let to = if self.endless { 0 } else { held.len().min(from + 256) };
                let next = if self.endless { "1".to_owned() } else { (to % held.len().max(1)).to_string() };
                // The first key comes with each page.
                let page = held.iter().take(1).chain(&held[from.min(to)..to]);
                Reply::Array(vec![Reply::Bytes(next.into()), Reply::Array(page.map(text).collect())])
            }
            "STRLEN" => number(self.keys.get(&command.args[0]).copied().unwrap_or_default()),
            "MEMORY" => {
                assert_eq!(command.args[0], "USAGE");
                let bytes = self.keys.get(&command.args[1]).map(|len| *len as u64 + OVERHEAD);
                bytes.map_or(Reply::Nil, |bytes| Reply::Int(i64::try_from(bytes).unwrap()))
            }
            other => panic!("{other} was not expected"),
        }
    }
}

fn text(key: &Bytes) -> Reply {
    Reply::Bytes(key.clone())
}

impl Client for Server {
    fn send(&self, slot: u16, command: Command, _: Duration) -> BoxFuture<'static, Result<Reply, Failure>> {
        struct UnderWay(Arc<AtomicUsize>);
        impl Drop for UnderWay {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Relaxed);
            }
        }
        *self.sent.lock().entry(command.name).or_default() += 1;
        self.most.fetch_max(self.under_way.fetch_add(1, Relaxed) + 1, Relaxed);
        self.clock.advance(self.pace);
        self.moved.store(self.moves, Relaxed);
        let odd = self.odd.as_ref().filter(|(name, _)| *name == command.name);
        let answer = odd.map_or_else(|| Ok(self.answer(slot, &command)), |(_, answer)| answer.clone());
        let (under_way, hangs) = (UnderWay(Arc::clone(&self.under_way)), self.hangs.load(Relaxed));
        Box::pin(async move {
            let _under_way = under_way;
            task::yield_now().await;
            if hangs { std::future::pending().await } else { answer }
        })
    }
    fn topology(&self) -> Arc<Topology> {
        let node = |port, first, last| Node { slots: vec![(first, last)], ..Node::new("h".into(), port, None) };
        let split = if self.moved.load(Relaxed) { 9000 } else { 8192 };
        let nodes = match (self.lost, self.cluster) {
            (true, _) => Vec::new(),
            (_, true) => vec![node(1, 0, split - 1), node(2, split, 16_383)],
            (_, false) => vec![Node::new("h".into(), 1, None)],
        };
        Arc::new(Topology { cluster: self.cluster, nodes })
    }
    fn reconnect(&self, _: u16) {}
    fn close(&self) {}
}

fn value_key(stored: &str) -> Bytes {
    Keys::new("ms:").unwrap().entry(stored.as_bytes()).value
}

fn store(server: Server) -> (Arc<Server>, RedisStore) {
    let server = Arc::new(server);
    let builder = RedisStore::builder("redis://127.0.0.1:1").unwrap().read_attempts(1);
    let mut shared = builder.clock(server.clock.clone()).shared().unwrap();
    let client = Arc::clone(&server) as Arc<dyn Client>;
    shared.client = Guarded::new(client, Arc::clone(&shared.clock), Handle::current());
    (server, RedisStore::from_shared(shared))
}

async fn sample(sampler: &impl UsageSampler, tenant: &str) -> Result<SampledUse> {
    sampler.sample(&TenantId::new(tenant).unwrap()).await
}

async fn kind(server: Server) -> ErrorKind {
    sample(&store(server).1, "acme").await.unwrap_err().kind()
}

#[tokio::test]
async fn few_keys_are_counted_each_once() {
    for cluster in [false, true] {
        let mut server = Server { cluster, ..Server::with(&[("acme", 600, 50), ("other", 300, 1_000)]) };
        let keys = Keys::new("ms:").unwrap();
        // What is no entry: marks of removals, leases, a line, keys of somebody else.
        for at in 0..20 {
            server.keys.insert(value_key(&format!("acme:removed:{at}")), HEAD_LEN);
            server.keys.insert(keys.entry(format!("acme:items:{at}").as_bytes()).lease, 500);
        }
        server.keys.insert(keys.tenant("acme").line, 500);
        server.keys.insert("acme:items:1".into(), 500);
        let (server, store) = store(server);
        let size = HEAD_LEN as u64 + 50 + OVERHEAD;
        assert_eq!(sample(&store, "acme").await.unwrap(), SampledUse::new(600 * size, 600));
        assert_eq!(sample(&store, "other").await.unwrap().entries, 300);
        assert_eq!(sample(&store, "nobody").await.unwrap(), SampledUse::default());
        assert_eq!(server.sent("RANDOMKEY"), 0);
    }
    assert_eq!(sample(&store(Server::default()).1, "acme").await.unwrap(), SampledUse::default(), "no keys at all");
}

#[tokio::test]
async fn many_keys_are_drawn_and_the_error_is_as_documented() {
    const DRAWN: usize = 4_096;
    for cluster in [false, true] {
        let tenants = [("large", 12_000, 50), ("middle", 6_000, 400), ("small", 2_000, 1_000)];
        let (server, store) = store(Server { cluster, ..Server::with(&tenants) });
        let usage = RedisUsage::new(store).sampled_keys(DRAWN).unwrap();
        for (tenant, count, len) in tenants {
            let held = sample(&usage, tenant).await.unwrap();
            let share = count as f64 / 20_000.0;
            // Twice the documented two deviations; one server is the worse case.
            let most = 4.0 * ((1.0 - share) / (share * DRAWN as f64)).sqrt();
            let off = (held.entries as f64 / count as f64 - 1.0).abs();
            assert!(off <= most, "{tenant}: {off} off, at most {most}");
            let size = (HEAD_LEN + len) as u64 + OVERHEAD;
            assert!(held.bytes.abs_diff(held.entries * size) <= 10 * size, "{held:?}: all are of one size");
        }
        assert_eq!(server.sent("SCAN"), 0);
    }
}

#[tokio::test]
async fn work_is_bounded() {
    let (server, store) = store(Server::with(&[("acme", 50_000, 50)]));
    let held = sample(&store, "acme").await.unwrap();
    assert_eq!(held.entries, 50_000);
    let sent = ["DBSIZE", "RANDOMKEY", "STRLEN", "MEMORY"].map(|command| server.sent(command));
    assert_eq!(sent, [1, DRAWS, DRAWS, DRAWS]);
    assert!(server.most.load(Relaxed) <= 128, "{} at once", server.most.load(Relaxed));
}

#[tokio::test]
async fn a_scan_without_end_is_given_up_for_draws() {
    let (server, store) = store(Server { endless: true, ..Server::with(&[("acme", 100, 50)]) });
    assert_eq!(sample(&store, "acme").await.unwrap().entries, 100);
    assert!(server.sent("SCAN") < 40 && server.sent("RANDOMKEY") == DRAWS);
}

#[tokio::test]
async fn every_fault_is_an_error_and_never_a_number() {
    let (few, many) = (|| Server::with(&[("acme", 10, 50)]), || Server::with(&[("acme", 5_000, 50)]));
    for (failure, wanted) in [
        (Failure::Timeout, ErrorKind::Timeout),
        (Failure::Disconnected, ErrorKind::Unavailable),
        (Failure::Full, ErrorKind::Overloaded),
        (Failure::Server("NOPERM".into()), ErrorKind::Unavailable),
    ] {
        for command in ["DBSIZE", "SCAN", "STRLEN", "MEMORY"] {
            assert_eq!(kind(few().odd(command, Err(failure.clone()))).await, wanted, "{command}");
        }
        assert_eq!(kind(many().odd("RANDOMKEY", Err(failure))).await, wanted);
    }
    let array = || Reply::Array(vec![Reply::Nil]);
    for command in ["DBSIZE", "SCAN", "STRLEN", "MEMORY"] {
        assert_eq!(kind(few().odd(command, Ok(array()))).await, ErrorKind::Protocol, "{command}");
    }
    let page = Reply::Array(vec![Reply::Bytes("0".into()), array()]);
    assert_eq!(kind(few().odd("SCAN", Ok(page))).await, ErrorKind::Protocol);
    assert_eq!(kind(many().odd("RANDOMKEY", Ok(array()))).await, ErrorKind::Protocol);
    let gone = sample(&store(few().odd("MEMORY", Ok(Reply::Nil))).1, "acme").await;
    assert_eq!(gone.unwrap(), SampledUse::default(), "ended meanwhile");
}

#[tokio::test]
async fn primaries_that_are_not_known_or_change_are_an_error() {
    assert_eq!(kind(Server { lost: true, ..Server::default() }).await, ErrorKind::Unavailable);
    let moving = Server { cluster: true, moves: true, ..Server::with(&[("acme", 10, 50)]) };
    assert_eq!(kind(moving).await, ErrorKind::Unavailable);
}

#[tokio::test]
async fn the_time_of_a_call_is_that_of_all_commands() {
    let slow = Server { pace: Duration::from_millis(10), ..Server::with(&[("acme", 5_000, 50)]) };
    assert_eq!(kind(slow).await, ErrorKind::Timeout);
}

#[tokio::test]
async fn a_sample_that_is_dropped_leaves_nothing_behind() {
    let (server, store) = store(Server::with(&[("acme", 5_000, 50)]));
    for polls in 1..20 {
        server.hangs.store(polls % 2 == 0, Relaxed);
        let mut dropped = Box::pin(sample(&store, "acme"));
        for _ in 0..polls {
            assert!((&mut dropped).now_or_never().is_none());
            task::yield_now().await;
        }
        drop(dropped);
        assert_eq!(server.under_way.load(Relaxed), 0);
    }
    server.hangs.store(false, Relaxed);
    assert_eq!(sample(&store, "acme").await.unwrap().entries, 5_000);
}

#[tokio::test]
async fn hidden_names_need_their_namer() {
    /// Puts the length of the tenant's name in front.
    #[derive(Debug)]
    struct Blind;
    impl Namer for Blind {
        fn stored(&self, parts: &memstache_core::Parts<'_>) -> Result<Option<Arc<[u8]>>> {
            let tenant = parts.space().tenant().ok_or_else(|| Error::new(ErrorKind::Unavailable, "no key"))?;
            Ok(Some(format!("tag{}:0123456789", tenant.len()).into_bytes().into()))
        }
    }
    let mut server = Server::with(&[("acme", 5, 50)]);
    server.keys.extend((0..7).map(|at| (value_key(&format!("tag4:hash{at}")), 200)));
    server.keys.extend((0..9).map(|at| (value_key(&format!("tag5:hash{at}")), 200)));
    let (_, store) = store(server);
    assert_eq!(sample(&store, "acme").await.unwrap_err().kind(), ErrorKind::Unsupported);
    let usage = RedisUsage::new(store).namer(Blind);
    assert_eq!(sample(&usage, "acme").await.unwrap().entries, 12, "plain ones and hidden ones");
    assert_eq!(sample(&usage, "other").await.unwrap().entries, 9);
}

#[tokio::test]
async fn the_number_of_keys_has_limits() {
    let (_, store) = store(Server::default());
    for keys in [63, 65_537] {
        let error = RedisUsage::new(store.clone()).sampled_keys(keys).unwrap_err();
        assert_eq!(error.to_string(), format!("sampled_keys must be 64 to 65536, but {keys} was given"));
    }
    let usage = RedisUsage::new(store).sampled_keys(65_536).unwrap();
    assert!(format!("{usage:?}").contains("draws: 65536"));
}
