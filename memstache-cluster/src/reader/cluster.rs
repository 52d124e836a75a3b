//! What a node knows of the others, and how it asks them.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Release},
        },
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use memstache_core::{Clock, Error, ErrorKind, Result, Tick, observe::Propagator};
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::Instrument as _;

use super::{View, coherence::Feeds, gone::Gone, hedge::Hedging, lost::Lost, splits::Splits};
use crate::{
    engine::until,
    member::{Member, MemberState, NodeId},
    owner::{Replication, Rounds},
    wire::{Answer, Call, CallContext, Calls, PeerInfo},
};

/// For how long it is known that nobody agrees: less than a request waits before it tries again.
const KNOWN_FOR: Duration = Duration::from_millis(40);

/// How long a cluster takes for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// How long a new owner asks the previous one for what it held.
    pub(crate) window: Duration,
    /// How long a new owner answers for nothing, if a previous one cannot be asked: what that one granted has ended by then. And how
    /// long a node answers for what it owns after somebody agreed with it.
    pub(crate) lease: Duration,
    /// How long others may see the members differently before a new owner goes ahead. A node with which nobody agreed for so long may
    /// have been left out meanwhile.
    pub(crate) suspicion: Duration,
    /// What a test has the node do wrong.
    #[cfg(any(test, feature = "test-util"))]
    pub(crate) faults: crate::Faults,
}

impl Timing {
    /// How long a new owner asks the previous one for what it held.
    pub(super) fn handover(&self) -> Duration {
        #[cfg(any(test, feature = "test-util"))]
        if self.faults == crate::Faults::NoHandOver {
            return Duration::ZERO;
        }
        self.window
    }
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

/// Whether a member sees what a node sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    None,
    Full,
    /// It does; some who left without a word may still answer.
    WhileSomeMayAnswer,
}

/// That nobody agreed with a view, for a moment: requests that come one after the other would all ask all, and wait for it.
#[derive(Default)]
struct Disagreed(Mutex<Option<(u64, Tick)>>);

impl Disagreed {
    fn note(&self, view: u64, now: Tick) {
        *self.0.lock() = Some((view, now.after(KNOWN_FOR)));
    }

    fn is_known(&self, view: u64, now: Tick) -> bool {
        self.0.lock().is_some_and(|(known, until)| known == view && now < until)
    }
}

/// What a node knows of the others, and how it asks them.
pub(crate) struct Cluster {
    pub(crate) me: NodeId,
    pub(crate) timing: Timing,
    pub(crate) clock: Arc<dyn Clock>,
    /// How others are reached, once the node has started.
    calls: ArcSwapOption<Arc<dyn Calls>>,
    view: ArcSwap<View>,
    /// Told after every change of the view.
    changed: watch::Sender<()>,
    /// When the last question began to which somebody answered that it sees the same, in milliseconds. Calls of others say
    /// nothing: they may have waited here while this process was paused.
    heard: AtomicU64,
    /// How many others there were then.
    among: AtomicUsize,
    /// When nobody agreed last.
    disagreed: Disagreed,
    /// How often that was too long ago.
    lapses: AtomicU64,
    /// Held while the node goes over to another view.
    pub(super) lost: Mutex<Lost>,
    /// Members that left without a word.
    pub(crate) gone: Gone,
    /// Splits that this node and others came back from.
    pub(super) splits: Splits,
    /// Invalidations that this node is the home of.
    pub(crate) rounds: Rounds,
    /// Says which span calls belong to.
    propagator: Option<Arc<dyn Propagator>>,
    /// What waits to be pushed to replicas.
    pub(crate) replication: Replication,
    /// When reads are asked of a replica too.
    pub(super) hedging: Hedging,
    /// Lines to the others, by which they tell what changes.
    pub(crate) feeds: Feeds,
}

impl Cluster {
    pub(crate) fn new(me: NodeId, clock: Arc<dyn Clock>, timing: Timing) -> Self {
        Self {
            me,
            timing,
            heard: AtomicU64::new(clock.now().as_millis()),
            clock,
            calls: ArcSwapOption::empty(),
            among: AtomicUsize::new(0),
            disagreed: Disagreed::default(),
            lapses: AtomicU64::new(0),
            lost: Mutex::default(),
            gone: Gone::default(),
            splits: Splits::default(),
            view: ArcSwap::from_pointee(View::first(me)),
            changed: watch::Sender::new(()),
            rounds: Rounds::default(),
            propagator: None,
            replication: Replication::default(),
            hedging: Hedging::default(),
            feeds: Feeds::default(),
        }
    }

    /// Sets who says which span calls belong to.
    pub(crate) fn with_propagator(mut self, propagator: Option<Arc<dyn Propagator>>) -> Self {
        self.propagator = propagator;
        self
    }

    /// Says how others are reached from now on.
    pub(crate) fn connect(&self, calls: Arc<dyn Calls>) {
        self.calls.store(Some(Arc::new(calls)));
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
        if self.view.load().other_owners().next().is_none() {
            // There was nobody to lose touch with.
            self.heard.fetch_max(self.clock.now().as_millis(), AcqRel);
            self.among.store(view.other_owners().count(), Release);
        }
        // Before anybody is told that this node sees it: from then on changes may come by lines that do not stand yet.
        self.feeds.lose();
        self.view.store(view);
        self.feeds.lose();
        self.changed.send_replace(());
    }

    /// Waits for another view than this one, at most so long.
    pub(crate) async fn another_view(&self, view: &Arc<View>, most: Duration) {
        let deadline = self.clock.now().after(most);
        until(&self.clock, deadline, self.other_view(view)).await;
    }

    /// Waits for another view than this one.
    pub(super) async fn other_view(&self, view: &Arc<View>) {
        let mut changed = self.changed.subscribe();
        while self.sees(view) && changed.changed().await.is_ok() {}
    }

    /// Waits until this node sees the members whose table has this epoch, at most until `deadline`.
    pub(crate) async fn view_of(&self, epoch: u64, deadline: Tick) -> Option<Arc<View>> {
        let seen = async {
            loop {
                let view = self.view();
                if view.epoch == epoch {
                    return view;
                }
                self.other_view(&view).await;
            }
        };
        until(&self.clock, deadline, seen).await
    }

    /// Makes one call.
    pub(crate) async fn call(&self, to: &Member, call: Call, deadline: Tick) -> Result<Answer> {
        let epoch = self.view.load().epoch;
        let Some(calls) = self.calls.load_full() else {
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

    /// Asks a member whether it sees what this node sees; takes note if it does.
    pub(super) async fn agrees(&self, view: &View, member: &Member, deadline: Tick) -> Result<Agreement> {
        let began = self.clock.now();
        let splits = self.splits.news(began);
        #[cfg(any(test, feature = "test-util"))]
        let splits = if self.timing.faults == crate::Faults::NeverTellOfSplits { 0 } else { splits };
        match self.call(member, Call::TakeOver { epoch: view.epoch, splits }, deadline).await? {
            // One that starts agrees with everybody: it has nothing to say.
            Answer::Done if member.state == MemberState::Joining => Ok(Agreement::Full),
            answer @ (Answer::Done | Answer::Partial { .. }) => {
                self.heard(began);
                self.among.store(view.other_owners().count(), Release);
                Ok(if matches!(answer, Answer::Done) { Agreement::Full } else { Agreement::WhileSomeMayAnswer })
            }
            _ => Ok(Agreement::None),
        }
    }

    /// Takes note that somebody agreed who was asked then. Not when the answer is read: it may have lain here while this process was
    /// paused.
    fn heard(&self, asked: Tick) {
        #[cfg(any(test, feature = "test-util"))]
        if self.timing.faults == crate::Faults::KeepAfterPause {
            self.heard.fetch_max(asked.as_millis(), AcqRel);
        }
        if asked.since(Tick::from_millis(self.heard.load(Acquire))) > self.timing.suspicion {
            // Before it counts: whoever finds that somebody agrees finds this, too.
            self.lapses.fetch_add(1, AcqRel);
        }
        self.heard.fetch_max(asked.as_millis(), AcqRel);
    }

    /// Counts how often this node was out of touch for so long that others may have left it out.
    pub(super) fn lapses(&self) -> u64 {
        self.lapses.load(Acquire)
    }

    /// Returns whether this node, which sees no other owner any more, may be the one that was left out: several agreed with each other
    /// then, and went on without it. Of two, each is on its own.
    pub(super) fn may_be_left_out(&self, now_alone: bool) -> bool {
        let heard = Tick::from_millis(self.heard.load(Acquire));
        now_alone && self.among.load(Acquire) > 1 && self.clock.now().since(heard) > self.timing.lease
    }

    /// Returns whether a peer may be one of those who were lost: it may see others whom this node does not see, and who are told of
    /// nothing that this node acknowledges.
    ///
    /// That is who was lost in this life; and, while anybody is lost, every other who is no member and sees others: it may have
    /// joined those who were, or be one of them in its next life.
    pub(crate) fn has_lost(&self, peer: &PeerInfo, epoch: u64) -> bool {
        let view = self.view.load();
        if view.members.contains(peer.id) {
            return false;
        }
        // The lock, which is held while a node goes over, for few.
        let lost = self.lost.lock();
        lost.has(peer.id, peer.incarnation) || (epoch != view.epoch && lost.any())
    }

    /// Returns whether this node was out of touch since a view was made: what it holds may be outdated.
    pub(crate) fn has_lapsed(&self, view: &View) -> bool {
        view.lapses != self.lapses()
    }

    /// Makes sure that this node may answer for what it owns by `view`: that nobody can have taken it over unseen.
    ///
    /// A new owner of what was a lost member's waits for one lease after all others have agreed with it. So who has not been agreed
    /// with for so long asks; while nobody agrees to its view, others may own what it owned.
    pub(crate) async fn vouch(&self, view: &View, deadline: Tick) -> Result<()> {
        let heard = Tick::from_millis(self.heard.load(Acquire));
        if view.other_owners().next().is_none() || self.clock.now().since(heard) <= self.timing.lease {
            return Ok(());
        }
        let cut_off = || Error::new(ErrorKind::Unavailable, "the node is cut off from the others").without_effect();
        if self.disagreed.is_known(view.number, self.clock.now()) {
            return Err(cut_off());
        }
        // Rare: calls are not to be longer by what it takes.
        let agreed = Box::pin(self.one_agrees(view, view.other_owners(), deadline)).await;
        // Who had no time left has not heard them all.
        if agreed.is_none() && self.clock.now() < deadline {
            self.disagreed.note(view.number, self.clock.now());
        }
        agreed.ok_or_else(cut_off)
    }

    /// Asks some members, at least one, whether they see what this node sees; ends with the first who does.
    pub(super) async fn one_agrees<'a>(
        &self,
        view: &View,
        members: impl Iterator<Item = &'a Member>,
        deadline: Tick,
    ) -> Option<()> {
        let ask = members.map(|member| {
            Box::pin(async move {
                match self.agrees(view, member, deadline).await {
                    Ok(Agreement::Full | Agreement::WhileSomeMayAnswer) => Ok(()),
                    Ok(Agreement::None) | Err(_) => Err(()),
                }
            })
        });
        futures_util::future::select_ok(ask).await.ok().map(drop)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("me", &self.me).field("view", &self.view.load()).finish_non_exhaustive()
    }
}
