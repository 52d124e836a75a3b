//! Reads that begin at the same time go out as one command.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use foldhash::fast::RandomState;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::oneshot, task};
use tracing::Instrument as _;

use super::{Command, Failure, Guarded, Reply};

/// Keys of one command at most: it holds up everything else of its server.
const MOST: usize = 256;
/// Keys of a read that is a command of its own.
const LARGE: usize = 64;

/// Gathers `MGET`s of one server or slot.
///
/// The first that comes lets whoever else is ready have a turn, and then sends for all who came meanwhile. Nobody waits
/// for an answer on its way, nor for a time. A reader that is alone has nobody to wait for, and a batch that fills a
/// command gains nothing: they go at once.
pub(crate) struct Gather {
    client: Guarded,
    runtime: Handle,
    /// Who came after a first one that has not sent yet, by where their keys lie.
    waiting: Mutex<Waiting>,
    /// Reads that are not answered.
    under_way: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    places: HashMap<u16, (TurnId, Vec<Want>), RandomState>,
    turns: u64,
}

/// Which turn of all that there were.
#[derive(Clone, Copy, PartialEq, Eq)]
struct TurnId(u64);

/// A read that somebody else sends.
struct Want {
    keys: Vec<Bytes>,
    answer: oneshot::Sender<Result<Reply, Failure>>,
}

impl Gather {
    pub(crate) fn new(client: Guarded, runtime: Handle) -> Arc<Self> {
        Arc::new(Self { client, runtime, waiting: Mutex::default(), under_way: AtomicUsize::new(0) })
    }

    /// Reads keys, with others that lie in the same place; the answer is as if they were asked for alone.
    ///
    /// # Cancellation
    /// Dropping the future of who sends for others keeps nothing from them.
    pub(crate) async fn read(
        self: &Arc<Self>,
        place: u16,
        slot: u16,
        keys: Vec<Bytes>,
        within: Duration,
    ) -> Result<Reply, Failure> {
        let _under_way = UnderWay(&self.under_way);
        let alone = self.under_way.fetch_add(1, Relaxed) == 0;
        if alone || keys.len() >= LARGE {
            return self.client.send(slot, Command::new("MGET", keys), within).await;
        }
        let (mut turn, keys) = match self.come(place, keys) {
            Come::First(id, keys) => (Turn { gather: self, place, slot, within, id, over: false }, keys),
            Come::After(id, answered) => {
                // Who has the turn need not be polled again for long: after two rounds without it, anybody may send. In the
                // first, those who came last may be polled before it.
                task::yield_now().await;
                task::yield_now().await;
                if let Some(wants) = self.take(place, id) {
                    self.send(slot, within, wants);
                }
                return answered.await.unwrap_or(Err(Failure::Disconnected));
            }
        };
        task::yield_now().await;
        let mut wants = turn.take();
        if wants.is_empty() {
            return self.client.send(slot, Command::new("MGET", keys), within).await;
        }
        let (answer, answered) = oneshot::channel();
        wants.push(Want { keys, answer });
        self.send(slot, within, wants);
        answered.await.unwrap_or(Err(Failure::Disconnected))
    }

    fn come(&self, place: u16, keys: Vec<Bytes>) -> Come {
        let mut waiting = self.waiting.lock();
        let Waiting { places, turns } = &mut *waiting;
        match places.entry(place) {
            Entry::Vacant(free) => {
                *turns += 1;
                let id = TurnId(*turns);
                free.insert((id, Vec::new()));
                Come::First(id, keys)
            }
            Entry::Occupied(mut waiting) => {
                let (answer, answered) = oneshot::channel();
                let (id, wants) = waiting.get_mut();
                wants.push(Want { keys, answer });
                Come::After(*id, answered)
            }
        }
    }

    /// Ends a turn, unless somebody else did; returns who came.
    fn take(&self, place: u16, id: TurnId) -> Option<Vec<Want>> {
        match self.waiting.lock().places.entry(place) {
            Entry::Occupied(waiting) if waiting.get().0 == id => Some(waiting.remove().1),
            _ => None,
        }
    }

    /// Sends for all of them, in a task that nobody can cancel.
    fn send(&self, slot: u16, within: Duration, wants: Vec<Want>) {
        let client = self.client.clone();
        let send = async move {
            let commands = batches(wants).into_iter().map(|batch| batch.send(&client, slot, within));
            join_all(commands).await;
        };
        // What serves several belongs to the one that sends it.
        self.runtime.spawn(send.in_current_span());
    }
}

/// Counts a read until it is answered, or given up.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Who comes.
enum Come {
    First(TurnId, Vec<Bytes>),
    After(TurnId, oneshot::Receiver<Result<Reply, Failure>>),
}

/// The first that came, until it has sent: if it leaves before, the others are sent for all the same.
struct Turn<'a> {
    gather: &'a Arc<Gather>,
    place: u16,
    slot: u16,
    within: Duration,
    id: TurnId,
    over: bool,
}

impl Turn<'_> {
    /// Ends the turn; returns who came and is not sent for yet.
    fn take(&mut self) -> Vec<Want> {
        self.over = true;
        self.gather.take(self.place, self.id).unwrap_or_default()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let wants = if self.over { Vec::new() } else { self.take() };
        if !wants.is_empty() {
            self.gather.send(self.slot, self.within, wants);
        }
    }
}

/// One command for several reads.
#[derive(Default)]
struct Batch {
    keys: Vec<Bytes>,
    /// Where each key is among them.
    known: HashMap<Bytes, usize, RandomState>,
    /// Each with where its keys are.
    wants: Vec<(oneshot::Sender<Result<Reply, Failure>>, Vec<usize>)>,
}

/// Spreads reads over as many commands as it takes; keys in common are read once.
fn batches(wants: Vec<Want>) -> Vec<Batch> {
    let mut batches = vec![Batch::default()];
    for want in wants {
        let full =
            batches.last().is_none_or(|batch| batch.keys.len() + want.keys.len() > MOST && !batch.keys.is_empty());
        if full {
            batches.push(Batch::default());
        }
        if let Some(batch) = batches.last_mut() {
            batch.add(want);
        }
    }
    batches
}

impl Batch {
    fn add(&mut self, want: Want) {
        let Self { keys, known, wants } = self;
        let places = want.keys.into_iter().map(|key| {
            *known.entry(key).or_insert_with_key(|key| {
                keys.push(key.clone());
                keys.len() - 1
            })
        });
        wants.push((want.answer, places.collect()));
    }

    async fn send(self, client: &Guarded, slot: u16, within: Duration) {
        let count = self.keys.len();
        let answer = client.send(slot, Command::new("MGET", self.keys), within).await;
        let values =
            answer.and_then(|reply| reply.into_array().filter(|values| values.len() == count).ok_or(Failure::Protocol));
        for (answer, places) in self.wants {
            let own = values.as_ref().map(|values| Reply::Array(places.iter().map(|at| values[*at].clone()).collect()));
            // Whoever left does not want it any more.
            let _ = answer.send(own.map_err(Clone::clone));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use memstache_core::{BoxFuture, testing::ManualClock};

    use super::*;
    use crate::client::{Client, Node, Topology};

    /// Answers each key with itself.
    #[derive(Debug, Default)]
    struct Echo {
        commands: AtomicUsize,
        keys: AtomicUsize,
        fails: bool,
    }

    impl Client for Echo {
        fn send(&self, _: u16, command: Command, _: Duration) -> BoxFuture<'static, Result<Reply, Failure>> {
            self.commands.fetch_add(1, Relaxed);
            self.keys.fetch_add(command.args.len(), Relaxed);
            let values = command.args.into_iter().map(Reply::Bytes).collect();
            let answer = if self.fails { Err(Failure::Timeout) } else { Ok(Reply::Array(values)) };
            Box::pin(async move {
                task::yield_now().await;
                answer
            })
        }
        fn topology(&self) -> Arc<Topology> {
            Arc::new(Topology { cluster: false, nodes: vec![Node::new("h".into(), 1, None)] })
        }
        fn reconnect(&self, _: u16) {}
        fn close(&self) {}
    }

    fn gather(echo: &Arc<Echo>) -> Arc<Gather> {
        let client = Guarded::new(Arc::clone(echo) as Arc<dyn Client>, Arc::new(ManualClock::new()), Handle::current());
        Gather::new(client, Handle::current())
    }

    /// One that has something to wait for: another read is under way.
    fn busy(echo: &Arc<Echo>) -> Arc<Gather> {
        let gather = gather(echo);
        gather.under_way.fetch_add(1, Relaxed);
        gather
    }

    fn read(gather: &Arc<Gather>, place: u16, number: usize) -> impl Future<Output = Result<Reply, Failure>> + use<> {
        let gather = Arc::clone(gather);
        let keys = vec![Bytes::from(number.to_string()), Bytes::from("common")];
        async move { gather.read(place, 0, keys, Duration::from_secs(1)).await }
    }

    fn own(number: usize) -> Result<Reply, Failure> {
        Ok(Reply::Array(vec![Reply::Bytes(number.to_string().into()), Reply::Bytes("common".into())]))
    }

    #[tokio::test]
    async fn who_is_alone_or_brings_many_keys_waits_for_nobody() {
        let echo = Arc::new(Echo::default());
        let gather = gather(&echo);
        let mut alone = Box::pin(read(&gather, 0, 1));
        assert!((&mut alone).now_or_never().is_none());
        assert_eq!(echo.commands.load(Relaxed), 1, "sent when it was polled first");
        let mut second = Box::pin(read(&gather, 0, 2));
        assert!((&mut second).now_or_never().is_none());
        assert_eq!(echo.commands.load(Relaxed), 1, "now there may be others");
        let keys = (0..LARGE).map(|number| Bytes::from(number.to_string())).collect();
        let mut large = Box::pin(gather.read(0, 0, keys, Duration::from_secs(1)));
        assert!((&mut large).now_or_never().is_none());
        assert_eq!(echo.commands.load(Relaxed), 2);
        assert_eq!((alone.await, second.await), (own(1), own(2)));
        assert!(large.await.is_ok_and(|values| values.into_array().is_some_and(|values| values.len() == LARGE)));
        assert_eq!(gather.under_way.load(Relaxed), 0);
        let given_up = Box::pin(read(&gather, 0, 3));
        drop(given_up.now_or_never());
        assert_eq!(gather.under_way.load(Relaxed), 0, "whoever leaves is not under way");
    }

    #[tokio::test]
    async fn each_gets_its_own_and_common_keys_are_read_once() {
        let echo = Arc::new(Echo::default());
        let gather = busy(&echo);
        let answers = join_all((0..100).map(|number| read(&gather, 0, number))).await;
        assert!(answers.into_iter().enumerate().all(|(number, answer)| answer == own(number)));
        assert_eq!((echo.commands.load(Relaxed), echo.keys.load(Relaxed)), (1, 101));
        assert_eq!(read(&gather, 0, 7).await, own(7), "alone");
        assert_eq!((echo.commands.load(Relaxed), gather.waiting.lock().places.len()), (2, 0));
    }

    #[tokio::test]
    async fn places_are_apart_and_commands_stay_short() {
        let echo = Arc::new(Echo::default());
        let gather = busy(&echo);
        join_all((0..4).map(|number| read(&gather, number % 2, usize::from(number)))).await;
        assert_eq!(echo.commands.swap(0, Relaxed), 2);
        let answers = join_all((0..1_000).map(|number| read(&gather, 0, number))).await;
        assert!(answers.into_iter().enumerate().all(|(number, answer)| answer == own(number)));
        assert_eq!(echo.commands.load(Relaxed), 4, "255 of their own and the common one in each");
    }

    #[tokio::test]
    async fn whoever_leaves_takes_nothing_from_the_others() {
        let echo = Arc::new(Echo::default());
        let gather = busy(&echo);
        let mut first = Box::pin(read(&gather, 0, 1));
        let (mut second, mut third) = (Box::pin(read(&gather, 0, 2)), Box::pin(read(&gather, 0, 3)));
        for waiting in [&mut first, &mut second, &mut third] {
            assert!(waiting.now_or_never().is_none());
        }
        drop(first);
        drop(third);
        assert_eq!(second.await, own(2));
        assert_eq!((gather.waiting.lock().places.len(), echo.commands.load(Relaxed)), (0, 1));
        // Before anybody followed.
        let mut alone = Box::pin(read(&gather, 0, 4));
        assert!((&mut alone).now_or_never().is_none());
        drop(alone);
        assert_eq!(gather.waiting.lock().places.len(), 0);
        assert_eq!(read(&gather, 0, 5).await, own(5));
    }

    #[tokio::test]
    async fn a_first_one_that_is_not_polled_again_keeps_nobody_waiting() {
        let echo = Arc::new(Echo::default());
        let gather = busy(&echo);
        let mut first = Box::pin(read(&gather, 0, 1));
        assert!((&mut first).now_or_never().is_none());
        assert_eq!(join_all([read(&gather, 0, 2), read(&gather, 0, 3)]).await, [own(2), own(3)]);
        assert_eq!(echo.commands.load(Relaxed), 1);
        // Another turn has begun at its place meanwhile, which is not its own to end.
        let mut next = Box::pin(read(&gather, 0, 4));
        assert!((&mut next).now_or_never().is_none());
        assert_eq!(first.await, own(1));
        assert_eq!(gather.waiting.lock().places.len(), 1);
        assert_eq!(next.await, own(4));
        assert_eq!((gather.waiting.lock().places.len(), echo.commands.load(Relaxed)), (0, 3));
    }

    #[tokio::test]
    async fn a_failure_is_everybodys() {
        let echo = Arc::new(Echo { fails: true, ..Echo::default() });
        let gather = busy(&echo);
        let answers = join_all((0..3).map(|number| read(&gather, 0, number))).await;
        assert_eq!(answers, vec![Err(Failure::Timeout); 3]);
    }
}
