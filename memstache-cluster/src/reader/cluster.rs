//! What a node knows of the others, and how it asks them.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use memstache_core::{Clock, Error, ErrorKind, Result, Tick, observe::Propagator};
use tokio::sync::watch;
use tracing::Instrument as _;

use super::View;
use crate::{
    member::{Member, NodeId},
    owner::Rounds,
    wire::{Answer, Call, CallContext, Calls},
};

/// How long a cluster takes for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// How long a new owner asks the previous one for what it held.
    pub(crate) window: Duration,
    /// How long a new owner answers for nothing, if a previous one cannot be asked: what that one granted has ended by then.
    pub(crate) lease: Duration,
    /// How long others may see the members differently before a new owner goes ahead, and how long a node that hears of nobody
    /// answers for what it owns.
    pub(crate) suspicion: Duration,
    /// What a test has the node do wrong.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) faults: crate::Faults,
}

impl Default for Timing {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            window: secs(10),
            lease: secs(1),
            suspicion: secs(3),
            #[cfg(any(test, feature = "test-util"))]
            faults: crate::Faults::None,
        }
    }
}

/// What a node knows of the others, and how it asks them.
pub(crate) struct Cluster {
    pub(crate) me: NodeId,
    pub(crate) timing: Timing,
    pub(crate) clock: Arc<dyn Clock>,
    /// How others are reached, once the node has started.
    calls: OnceLock<Arc<dyn Calls>>,
    view: ArcSwap<View>,
    /// Told after every change of the view.
    changed: watch::Sender<()>,
    /// When somebody agreed to the view for the last time, in milliseconds.
    heard: AtomicU64,
    /// Invalidations that this node is the home of.
    pub(crate) rounds: Rounds,
    /// Says which span calls belong to.
    propagator: Option<Arc<dyn Propagator>>,
}

impl Cluster {
    pub(crate) fn new(me: NodeId, clock: Arc<dyn Clock>, timing: Timing) -> Self {
        Self {
            me,
            timing,
            heard: AtomicU64::new(clock.now().as_millis()),
            clock,
            calls: OnceLock::new(),
            view: ArcSwap::from_pointee(View::first(me)),
            changed: watch::Sender::new(()),
            rounds: Rounds::default(),
            propagator: None,
        }
    }

    /// Sets who says which span calls belong to.
    pub(crate) fn with_propagator(mut self, propagator: Option<Arc<dyn Propagator>>) -> Self {
        self.propagator = propagator;
        self
    }

    /// Says how others are reached; the first who says so is heard.
    pub(crate) fn connect(&self, calls: Arc<dyn Calls>) {
        let _ = self.calls.set(calls);
    }

    /// Returns who is there and who owns what, as it is seen now.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Returns whether `view` is the one that is seen now.
    pub(crate) fn sees(&self, view: &Arc<View>) -> bool {
        Arc::ptr_eq(&self.view.load(), view)
    }

    pub(super) fn adopt(&self, view: Arc<View>) {
        self.view.store(view);
        self.changed.send_replace(());
    }

    /// Waits for another view than this one, at most so long.
    pub(crate) async fn another_view(&self, view: &Arc<View>, most: Duration) {
        let mut changed = self.changed.subscribe();
        let until = self.clock.now().after(most);
        let changes = async { while self.sees(view) && changed.changed().await.is_ok() {} };
        tokio::select! {
            biased;
            () = changes => {}
            () = self.clock.sleep_until(until) => {}
        }
    }

    /// Makes one call. An answer tells that somebody who sees the same members was heard of.
    pub(crate) async fn call(&self, to: &Member, call: Call, deadline: Tick) -> Result<Answer> {
        let answer = self.ask(to, call, deadline).await?;
        if !matches!(answer, Answer::WrongOwner { .. }) {
            self.heard();
        }
        Ok(answer)
    }

    /// Makes one call that a member answers whatever it sees.
    pub(crate) async fn ask(&self, to: &Member, call: Call, deadline: Tick) -> Result<Answer> {
        let epoch = self.view.load().table.epoch();
        let Some(calls) = self.calls.get() else {
            return Err(Error::new(ErrorKind::Unavailable, "the node has not started").without_effect());
        };
        let span = tracing::debug_span!(
            "memstache.call",
            otel.kind = "client",
            memstache.call = call.name(),
            memstache.peer = tracing::field::display(to.id),
            "error.type" = tracing::field::Empty,
        );
        let trace = self.propagator.as_ref().and_then(|propagator| span.in_scope(|| propagator.current()));
        let called = calls.call(to, call, CallContext::until(deadline).at_epoch(epoch).traced(trace));
        if span.is_disabled() {
            return called.await;
        }
        let answer = called.instrument(span.clone()).await;
        if let Err(error) = &answer {
            span.record("error.type", error.kind().as_str());
        }
        answer
    }

    /// Takes note that somebody who sees the same members was heard of.
    pub(crate) fn heard(&self) {
        self.heard.fetch_max(self.clock.now().as_millis(), Relaxed);
    }

    /// Makes sure that this node may answer for what it owns by `view`: that it was not cut off, or paused, for longer than it
    /// takes the others to declare it dead.
    ///
    /// A node that has heard of nobody for so long asks; while nobody agrees to its view, others may own what it owned.
    pub(crate) async fn vouch(&self, view: &View, deadline: Tick) -> Result<()> {
        let now = self.clock.now();
        let heard = Tick::from_millis(self.heard.load(Relaxed));
        if now.since(heard) <= self.timing.suspicion || view.others().next().is_none() {
            return Ok(());
        }
        let ask = view.others().map(|member| {
            let take_over = Call::TakeOver { epoch: view.table.epoch() };
            Box::pin(async move {
                match self.call(member, take_over, deadline).await {
                    Ok(Answer::Done) => Ok(()),
                    _ => Err(()),
                }
            })
        });
        let cut_off = |_| Error::new(ErrorKind::Unavailable, "the node is cut off from the others").without_effect();
        futures_util::future::select_ok(ask).await.map(drop).map_err(cut_off)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("me", &self.me).field("view", &self.view.load()).finish_non_exhaustive()
    }
}
