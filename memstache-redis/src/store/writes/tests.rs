//! Writes over a server that answers when it is told to.

use std::time::Duration;

use futures_util::{FutureExt, future::join_all};
use memstache_core::{
    Address, BoxFuture, Clock as _, ErrorKind, KeyspaceName, Lifetime, NewEntry, Scope, SetItem, Space, Version, When,
    Written, testing::ManualClock,
};
use tokio::{sync::Semaphore, task};

use super::*;
use crate::{
    client::{Client, Command, Guarded, Node, Reply, Topology},
    store::RedisStore,
};

/// Where the server's clock stands, µs.
const NOW: u64 = 1_000_000_000;
/// Bytes of writes that may be under way.
const BYTES: usize = 1 << 20;

/// Stores each entry as the version that its name is.
#[derive(Debug)]
struct Server {
    /// Answers that it may give.
    answers: Arc<Semaphore>,
    writes: Arc<Mutex<Vec<Command>>>,
    cluster: bool,
}

impl Client for Server {
    fn send(&self, _: u16, command: Command, _: Duration) -> BoxFuture<'static, Result<Reply, Failure>> {
        let (answers, writes, cluster) = (Arc::clone(&self.answers), Arc::clone(&self.writes), self.cluster);
        Box::pin(async move {
            let line: Vec<u8> = [NOW, 0, 0, 0, 0].iter().flat_map(|number| number.to_be_bytes()).collect();
            let line = Reply::Bytes(line.into());
            if command.script != "set" {
                return Ok(Reply::Array(vec![Reply::Int(NOW.cast_signed()), line]));
            }
            writes.lock().push(command.clone());
            task::yield_now().await;
            answers.acquire().await.unwrap().forget();
            let stored = entries(&command).map(|key| {
                let name = key.rsplit(|byte| *byte == b':').next().unwrap();
                let version: u64 = std::str::from_utf8(name).unwrap().parse().unwrap();
                Reply::Bytes([&[1][..], &version.to_be_bytes()].concat().into())
            });
            let line = if cluster { Reply::Nil } else { line };
            Ok(Reply::Array([Reply::Int(NOW.cast_signed()), line].into_iter().chain(stored).collect()))
        })
    }
    fn topology(&self) -> Arc<Topology> {
        let mut node = Node::new("h".into(), 1, None);
        node.slots.push((0, 16_383));
        Arc::new(Topology { cluster: self.cluster, nodes: vec![node] })
    }
    fn reconnect(&self, _: u16) {}
    fn close(&self) {}
}

/// The keys of a command's entries.
fn entries(command: &Command) -> impl Iterator<Item = &[u8]> {
    let is_entry = |key: &&[u8]| key.windows(2).any(|pair| pair == b"v{");
    command.args.iter().map(|arg| &arg[..]).filter(is_entry)
}

/// A store, and what its server was asked.
struct Bench {
    shared: Arc<Shared>,
    clock: ManualClock,
    answers: Arc<Semaphore>,
    writes: Arc<Mutex<Vec<Command>>>,
}

impl Bench {
    /// One whose server answers so many writes.
    fn new(answers: usize, cluster: bool) -> Self {
        let clock = ManualClock::new();
        let builder = RedisStore::builder("redis://127.0.0.1:1").unwrap().clock(clock.clone()).max_queued(300);
        let mut shared = builder.max_value_bytes(BYTES).max_in_flight_bytes(BYTES).shared().unwrap();
        let (answers, writes) = (Arc::new(Semaphore::new(answers)), Arc::default());
        let server = Server { answers: Arc::clone(&answers), writes: Arc::clone(&writes), cluster };
        shared.client = Guarded::new(Arc::new(server), Arc::new(clock.clone()), Handle::current());
        shared.clocks.note(&shared.client.server_of(0), NOW, clock.now(), clock.now());
        Self { shared: Arc::new(shared), clock, answers, writes }
    }

    /// Stores an entry; answers its version.
    fn set(&self, name: u64, scope: Scope) -> impl Future<Output = Result<u64, ErrorKind>> + Unpin + use<> {
        self.store(name, "v".repeat(16), scope)
    }

    fn store(
        &self,
        name: u64,
        value: String,
        scope: Scope,
    ) -> impl Future<Output = Result<u64, ErrorKind>> + Unpin + use<> {
        let shared = Arc::clone(&self.shared);
        let space = Space::new(None, &KeyspaceName::new("items").unwrap());
        let address = Address::plain(&space, name.to_string()).unwrap();
        let item = SetItem { address, entry: NewEntry::new(value, Lifetime::UNLIMITED), when: When::Always };
        Box::pin(async move {
            match shared.set(vec![item], &scope).await.remove(0) {
                Ok(Written::Stored(Version(version))) => Ok(version),
                Ok(other) => panic!("{other:?}"),
                Err(error) => Err(error.kind()),
            }
        })
    }

    /// How many entries each command stored.
    fn sizes(&self) -> Vec<usize> {
        self.writes.lock().iter().map(|command| entries(command).count()).collect()
    }

    /// Lets everybody who is ready have a turn.
    async fn settle(&self) {
        for _ in 0..50 {
            task::yield_now().await;
        }
    }

    /// Three writes that are under way, beside which others wait.
    async fn busy(&self) -> Vec<task::JoinHandle<Result<u64, ErrorKind>>> {
        let under_way = (1..4).map(|name| tokio::spawn(self.set(name, Scope::default()))).collect();
        self.settle().await;
        assert_eq!(self.sizes(), [1, 1, 1], "the first by itself, and two more");
        under_way
    }
}

#[tokio::test]
async fn what_comes_together_is_one_command_and_each_gets_its_own() {
    let bench = Bench::new(1_000, false);
    let answers = join_all((0..40).map(|name| bench.set(name, Scope::default()))).await;
    assert_eq!(answers, (0..40).map(Ok).collect::<Vec<_>>());
    assert_eq!(bench.sizes(), [1, 1, 1, 37]);
    assert_eq!(bench.set(7, Scope::default()).await, Ok(7), "alone");
    assert_eq!(bench.sizes().len(), 5);
    assert_eq!(bench.shared.writes.callers.load(Relaxed), 0);
}

#[tokio::test]
async fn commands_stay_short() {
    let bench = Bench::new(1_000, false);
    join_all((0..200).map(|name| bench.set(name, Scope::default()))).await;
    assert_eq!(bench.sizes(), [1, 1, 1, 64, 64, 64, 5]);
    // A large value is a command of its own, and one that does not fit beside others goes after them.
    bench.writes.lock().clear();
    let large = |name| bench.store(name, "v".repeat(LARGE), Scope::default());
    join_all((0..8).map(large)).await;
    assert_eq!(bench.sizes(), [1; 8]);
}

#[tokio::test]
async fn each_has_its_own_fence_and_deadline() {
    let bench = Bench::new(0, false);
    let under_way = bench.busy().await;
    let begun = bench.clock.now();
    let at = |millis| Scope { deadline: Some(begun.after(Duration::from_millis(millis))), ..Scope::default() };
    let mut impatient = bench.set(4, at(100));
    let (mut patient, mut second) = (bench.set(5, at(900)), bench.set(6, Scope::default()));
    for waiting in [&mut impatient, &mut patient, &mut second] {
        assert!(waiting.now_or_never().is_none());
    }
    bench.answers.add_permits(2);
    bench.settle().await;
    assert_eq!(bench.sizes(), [1, 1, 1, 3]);
    let fences: Vec<u64> = {
        let writes = bench.writes.lock();
        let fences = writes[3].args.iter().filter(|arg| arg.len() == 16 && arg.starts_with(&[0, 0]));
        fences.map(|fence| u64::from_be_bytes(fence[..8].try_into().unwrap())).collect()
    };
    let ahead = |millis: u64| NOW + millis * 1_000 - 1_000;
    assert_eq!(fences, [ahead(100), ahead(900), ahead(2_000)], "a tick has begun up to a millisecond ago");
    // The server hangs from here on.
    bench.clock.advance(Duration::from_millis(100));
    assert_eq!(impatient.await, Err(ErrorKind::Unknown));
    assert!((&mut patient).now_or_never().is_none());
    bench.answers.add_permits(10);
    assert_eq!((patient.await, second.await), (Ok(5), Ok(6)));
    for answer in under_way {
        assert!(answer.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn whoever_leaves_takes_nothing_from_the_others() {
    let bench = Bench::new(0, false);
    let _under_way = bench.busy().await;
    let (mut first, mut second, mut third) =
        (bench.set(4, Scope::default()), bench.set(5, Scope::default()), bench.set(6, Scope::default()));
    for waiting in [&mut first, &mut second, &mut third] {
        assert!(waiting.now_or_never().is_none());
    }
    drop(second);
    drop(first);
    // The first would have seen to it that they do not wait for long.
    bench.settle().await;
    assert_eq!(bench.sizes(), [1, 1, 1, 1], "who left before it was sent is not");
    bench.answers.add_permits(10);
    assert_eq!(third.await, Ok(6));
    // Also after it was sent.
    let under_way = bench.set(7, Scope::default());
    drop(tokio::spawn(under_way));
    assert_eq!(bench.set(8, Scope::default()).await, Ok(8));
}

#[tokio::test]
async fn nothing_waits_for_long_behind_a_server_that_hangs() {
    let bench = Bench::new(0, false);
    let _under_way = bench.busy().await;
    let _waiting = [4, 5].map(|name| tokio::spawn(bench.set(name, Scope::default())));
    bench.settle().await;
    bench.clock.advance(HOLD - Duration::from_millis(1));
    bench.settle().await;
    assert_eq!(bench.sizes(), [1, 1, 1]);
    bench.clock.advance(Duration::from_millis(1));
    bench.settle().await;
    assert_eq!(bench.sizes(), [1, 1, 1, 2]);
}

#[tokio::test]
async fn a_caller_that_is_not_polled_holds_up_nobody() {
    let bench = Bench::new(1_000, false);
    let mut parked: Vec<_> = (1..4).map(|name| bench.set(name, Scope::default())).collect();
    for write in &mut parked {
        assert!(write.now_or_never().is_none());
    }
    assert_eq!(join_all([4, 5].map(|name| bench.set(name, Scope::default()))).await, [Ok(4), Ok(5)]);
    assert_eq!(join_all(parked).await, [Ok(1), Ok(2), Ok(3)]);
}

#[tokio::test]
async fn what_waits_is_bounded() {
    let bench = Bench::new(0, false);
    let mut waiting: Vec<_> = (0..310).map(|name| bench.set(name, Scope::default())).collect();
    let refused = waiting.iter_mut().filter_map(|write| write.now_or_never());
    assert_eq!(refused.collect::<Vec<_>>(), [Err(ErrorKind::Overloaded); 10], "whoever came last");
    bench.answers.add_permits(300);
    let answers = join_all(waiting.into_iter().take(300)).await;
    assert_eq!(answers, (0..300).map(Ok).collect::<Vec<_>>());
    assert_eq!(bench.set(7, Scope::default()).await, Ok(7));
}

#[tokio::test]
async fn what_is_under_way_counts_although_its_caller_has_left() {
    let bench = Bench::new(0, false);
    let _under_way = bench.busy().await;
    let mut left: Vec<_> = (0..2 * MOST as u64).map(|name| bench.set(name, Scope::default())).collect();
    assert!(left.iter_mut().all(|write| write.now_or_never().is_none()));
    bench.settle().await;
    assert_eq!(bench.sizes(), [1, 1, 1, MOST, MOST]);
    drop(left);
    let mut waiting: Vec<_> = (0..200).map(|name| bench.set(name, Scope::default())).collect();
    let refused = waiting.iter_mut().filter_map(|write| write.now_or_never()).collect::<Vec<_>>();
    assert_eq!(refused, [Err(ErrorKind::Overloaded); 3 + 2 * MOST + 200 - 300], "whoever came last");
    bench.answers.add_permits(1_000);
    let answers = join_all(waiting.into_iter().take(200 - refused.len())).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    bench.settle().await;
    assert_eq!(bench.shared.writes.callers.load(Relaxed), 0);
}

#[tokio::test]
async fn bytes_under_way_count_although_their_caller_has_left() {
    let bench = Bench::new(0, false);
    let _under_way = bench.busy().await;
    let large = |name| bench.store(name, "v".repeat(LARGE / 2), Scope::default());
    let mut left: Vec<_> = (0..24).map(large).collect();
    assert!(left.iter_mut().all(|write| write.now_or_never().is_none()));
    bench.settle().await;
    assert_eq!(bench.sizes(), [1, 1, 1, 7, 7, 7], "and three wait");
    drop(left);
    let rest = || bench.store(1, "v".repeat(BYTES / 2), Scope::default());
    assert_eq!(rest().now_or_never(), Some(Err(ErrorKind::Overloaded)));
    bench.answers.add_permits(1_000);
    bench.settle().await;
    assert_eq!(rest().await, Ok(1));
}

#[tokio::test]
async fn a_failure_is_everybodys() {
    let bench = Bench::new(0, false);
    let _under_way = bench.busy().await;
    let waiting = [4, 5].map(|name| tokio::spawn(bench.set(name, Scope::default())));
    bench.settle().await;
    bench.answers.close();
    for answer in waiting {
        // Whoever sends for them is gone.
        assert_eq!(answer.await.unwrap(), Err(ErrorKind::Unknown));
    }
}

#[tokio::test]
async fn on_a_cluster_each_goes_by_itself() {
    let bench = Bench::new(1_000, true);
    let answers = join_all((0..20).map(|name| bench.set(name, Scope::default()))).await;
    assert_eq!(answers, (0..20).map(Ok).collect::<Vec<_>>());
    assert_eq!(bench.sizes(), [1; 20]);
}
