//! Breakers and watchdog over a scripted client.

use std::sync::atomic::AtomicUsize;

use memstache_core::testing::ManualClock;

use super::{
    probing::{LATE, PROBE, PULSE, REST},
    *,
};
use crate::client::Node;

/// Answers what it was told to.
#[derive(Debug)]
struct Scripted {
    answer: Mutex<Option<Failure>>,
    sent: AtomicUsize,
    reconnects: AtomicUsize,
    clock: ManualClock,
    /// How much later than they should timers fire.
    late: Mutex<Duration>,
}

impl Client for Scripted {
    fn send(&self, _: u16, _: Command, within: Duration) -> BoxFuture<'static, Result<Reply, Failure>> {
        self.sent.fetch_add(1, Relaxed);
        let answer = self.answer.lock().clone();
        if answer == Some(Failure::Timeout) {
            self.clock.advance(within + *self.late.lock());
        }
        Box::pin(async move { answer.map_or(Ok(Reply::Nil), Err) })
    }
    fn topology(&self) -> Arc<Topology> {
        Arc::new(Topology { cluster: false, nodes: vec![Node::new("h".into(), 1, None)] })
    }
    fn reconnect(&self, _: u16) {
        self.reconnects.fetch_add(1, Relaxed);
    }
    fn close(&self) {}
}

fn guarded(failure: Failure) -> (Arc<Scripted>, Guarded, ManualClock) {
    let clock = ManualClock::new();
    let client = Arc::new(Scripted {
        answer: Mutex::new(Some(failure)),
        sent: AtomicUsize::new(0),
        reconnects: AtomicUsize::new(0),
        clock: clock.clone(),
        late: Mutex::default(),
    });
    let runtime = Handle::current();
    let guarded = Guarded::new(Arc::clone(&client) as Arc<dyn Client>, Arc::new(clock.clone()), runtime);
    (client, guarded, clock)
}

async fn send(guarded: &Guarded, millis: u64) -> Result<Reply, Failure> {
    guarded.send(0, Command::plain("PING", &[]), Duration::from_millis(millis)).await
}

#[tokio::test]
async fn opens_after_five_and_closes_by_a_probe() {
    let (client, guarded, clock) = guarded(Failure::Disconnected);
    for _ in 0..20 {
        assert_eq!(send(&guarded, 250).await, Err(Failure::Disconnected), "a burst says no more than its first");
    }
    for _ in 0..4 {
        clock.advance(BURST);
        assert_eq!(send(&guarded, 250).await, Err(Failure::Disconnected));
    }
    assert_eq!(send(&guarded, 250).await, Err(Failure::Open), "nothing is sent to who is gone");
    assert_eq!((client.sent.load(Relaxed), guarded.stats().open), (24, 1));
    tokio::task::yield_now().await;
    *client.answer.lock() = None;
    clock.advance(PROBE);
    while guarded.stats().open > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(send(&guarded, 250).await, Ok(Reply::Nil));
}

#[tokio::test]
async fn a_server_that_hangs_is_noticed_however_patient_its_callers_are() {
    let (client, guarded, clock) = guarded(Failure::Timeout);
    guarded.keep_pulse(Arc::new(|_, _, _, _| panic!("it does not answer")));
    for _ in 0..8 {
        // Each beat finds that something was sent since the last.
        guarded.0.sent.fetch_add(1, Relaxed);
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        clock.advance(PULSE);
    }
    assert!(client.reconnects.load(Relaxed) >= 1, "{:?}", guarded.stats());
    let sent = client.sent.load(Relaxed);
    for _ in 0..8 {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        if guarded.stats().open == 0 {
            clock.advance(PULSE);
        }
    }
    assert!(client.sent.load(Relaxed) <= sent + 1, "nothing is asked while there is nothing to do");
}

#[tokio::test]
async fn a_ping_that_is_given_up_late_says_nothing() {
    for (late, counts) in [(LATE, true), (LATE + Duration::from_millis(1), false)] {
        let (client, guarded, clock) = guarded(Failure::Timeout);
        *client.late.lock() = late;
        guarded.keep_pulse(Arc::new(|_, _, _, _| panic!("it does not answer")));
        for _ in 0..8 {
            guarded.0.sent.fetch_add(1, Relaxed);
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            clock.advance(PULSE);
        }
        assert!(client.sent.load(Relaxed) >= 5, "it was asked");
        let seen = (guarded.stats().opened > 0, client.reconnects.load(Relaxed) > 0);
        assert_eq!(seen, (counts, counts), "{late:?} late");
        if !counts {
            // Only pings: what a caller waited for in vain counts.
            for _ in 0..5 {
                assert_eq!(send(&guarded, 250).await, Err(Failure::Timeout));
            }
            assert_eq!(guarded.stats().open, 1);
        }
    }
}

async fn open(guarded: &Guarded, clock: &ManualClock) {
    for _ in 0..5 {
        assert_eq!(send(guarded, 250).await, Err(Failure::Disconnected));
        clock.advance(BURST);
    }
    assert_eq!(send(guarded, 250).await, Err(Failure::Open));
}

#[tokio::test]
async fn a_probe_that_cannot_be_sent_rests() {
    let (client, guarded, clock) = guarded(Failure::Disconnected);
    open(&guarded, &clock).await;
    *client.answer.lock() = Some(Failure::Full);
    let sent = client.sent.load(Relaxed);
    for probes in 1..4 {
        clock.advance(REST);
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert_eq!(client.sent.load(Relaxed), sent + probes);
    }
    *client.answer.lock() = None;
    clock.advance(REST);
    while guarded.stats().open > 0 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_breaker_does_not_outlive_who_probes() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let (client, guarded, clock) = first.block_on(async { guarded(Failure::Disconnected) });
    second.block_on(open(&guarded, &clock));
    drop(first);
    // Also those that open after that.
    for _ in 0..9 {
        assert_eq!(second.block_on(send(&guarded, 250)), Err(Failure::Disconnected));
        clock.advance(BURST);
    }
    *client.answer.lock() = None;
    assert_eq!(second.block_on(send(&guarded, 250)), Ok(Reply::Nil));
}

#[tokio::test]
async fn three_timeouts_in_a_row_drop_the_connection() {
    let (client, guarded, _) = guarded(Failure::Timeout);
    for _ in 0..3 {
        assert_eq!(send(&guarded, 250).await, Err(Failure::Timeout));
    }
    assert_eq!(client.reconnects.load(Relaxed), 1);
}

#[tokio::test]
async fn impatience_and_refusals_are_no_outage() {
    let (client, guarded, _) = guarded(Failure::Timeout);
    for _ in 0..9 {
        assert_eq!(send(&guarded, 5).await, Err(Failure::Timeout));
    }
    *client.answer.lock() = Some(Failure::Server("NOPERM".into()));
    for _ in 0..9 {
        assert_eq!(send(&guarded, 250).await, Err(Failure::Server("NOPERM".into())));
    }
    assert_eq!((guarded.stats().open, client.reconnects.load(Relaxed)), (0, 0));
}

#[tokio::test]
async fn a_caller_that_leaves_late_counts_as_a_timeout() {
    /// Never answers.
    #[derive(Debug)]
    struct Silent;
    impl Client for Silent {
        fn send(&self, _: u16, _: Command, _: Duration) -> BoxFuture<'static, Result<Reply, Failure>> {
            Box::pin(std::future::pending())
        }
        fn topology(&self) -> Arc<Topology> {
            Arc::default()
        }
        fn reconnect(&self, _: u16) {}
        fn close(&self) {}
    }
    let clock = ManualClock::new();
    let guarded = Guarded::new(Arc::new(Silent), Arc::new(clock.clone()), Handle::current());
    for _ in 0..5 {
        let mut call = guarded.send(0, Command::plain("PING", &[]), Duration::from_secs(1));
        assert!(futures_util::poll!(&mut call).is_pending());
        clock.advance(PATIENCE);
        drop(call);
    }
    assert_eq!(guarded.stats().open, 1);
    assert_eq!(guarded.stats().reconnects, 1);
}

#[derive(Debug)]
struct Watch;

impl Client for Watch {
    fn send(&self, _: u16, command: Command, _: Duration) -> BoxFuture<'static, Result<Reply, Failure>> {
        let parts = || Reply::Array(vec![Reply::Bytes("12".into()), Reply::Bytes("34".into())]);
        Box::pin(async move { Ok(if command.name == "TIME" { parts() } else { Reply::Nil }) })
    }
    fn topology(&self) -> Arc<Topology> {
        Arc::new(Topology { cluster: false, nodes: vec![Node::new("h".into(), 1, None)] })
    }
    fn reconnect(&self, _: u16) {}
    fn close(&self) {}
}

#[tokio::test]
async fn servers_are_asked_for_the_time_while_there_is_something_to_do() {
    let clock = ManualClock::new();
    let guarded = Guarded::new(Arc::new(Watch), Arc::new(clock.clone()), Handle::current());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    guarded
        .keep_pulse(Arc::new(move |server: &Arc<str>, micros, _, _| hears.lock().push((server.to_string(), micros))));
    let beat = async || {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        clock.advance(PULSE);
    };
    guarded.send(0, Command::plain("GET", &[]), PULSE).await.unwrap();
    for _ in 0..8 {
        beat().await;
    }
    assert_eq!(*heard.lock(), [("h:1".to_owned(), 12_000_034)]);
}
