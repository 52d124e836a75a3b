//! What all handles of an engine share.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use memstache_core::{Clock, Error, ErrorKind, Request, Response, Result, Tick};
use parking_lot::Mutex;
use tokio::{sync::Notify, task::JoinSet};

use super::{ClusterConfig, EngineError, bootstrap::Joined, events::EventBus, registry::Registry, slot::Slot};
use crate::{
    member::Member,
    owner::Local,
    peer::until::Until,
    reader::{self, Cluster, WarmUp},
};

/// What all handles of an engine share.
pub(crate) struct Node {
    pub(crate) registry: Registry,
    pub(crate) events: Arc<EventBus>,
    /// Whether anybody is told of calls.
    pub(super) records: bool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) times: Times,
    /// What is loaded ahead, if anything.
    pub(crate) warm_up: Option<WarmUp>,
    state: AtomicU8,
    /// Held while the engine starts or stops.
    pub(super) lifecycle: tokio::sync::Mutex<()>,
    pub(crate) under_way: UnderWay,
    /// The others, if there can be any.
    cluster: Option<Arc<Cluster>>,
    /// How it comes into its cluster and leaves it.
    pub(super) config: Option<ClusterConfig>,
    /// Its part in the cluster, while it has one.
    pub(super) joined: Mutex<Option<Joined>>,
    /// What runs beside the calls, until the node stops.
    tasks: Mutex<JoinSet<()>>,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) read: Duration,
    pub(crate) write: Duration,
    pub(crate) shutdown: Duration,
}

/// Where an engine is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    New,
    Running,
    Stopping,
    Stopped,
}

impl Node {
    pub(super) fn new(
        registry: Registry,
        clock: Arc<dyn Clock>,
        times: Times,
        warm_up: Option<WarmUp>,
        cluster: Option<Arc<Cluster>>,
        config: Option<ClusterConfig>,
    ) -> Self {
        Self {
            records: registry.records(),
            events: registry.events(),
            registry,
            clock,
            times,
            warm_up,
            state: AtomicU8::new(State::New as u8),
            lifecycle: tokio::sync::Mutex::new(()),
            under_way: UnderWay::default(),
            cluster,
            config,
            joined: Mutex::default(),
            tasks: Mutex::default(),
        }
    }

    pub(crate) fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::New,
            1 => State::Running,
            2 => State::Stopping,
            _ => State::Stopped,
        }
    }

    pub(super) fn enter(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// Returns whether calls are taken, or why not.
    pub(crate) fn ready(&self) -> Result<()> {
        match self.state() {
            State::Running => Ok(()),
            State::New => Err(EngineError::NotStarted.into()),
            State::Stopping | State::Stopped => Err(EngineError::Stopped.into()),
        }
    }

    /// Returns whether no other node takes part.
    pub(crate) const fn is_alone(&self) -> bool {
        self.cluster.is_none()
    }

    /// Returns what is known of the others, if there can be any.
    pub(crate) const fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.as_ref()
    }

    /// Returns the members that are there.
    pub(crate) fn peers(&self) -> Vec<Member> {
        self.cluster.iter().flat_map(|cluster| cluster.view().members.iter().cloned().collect::<Vec<_>>()).collect()
    }

    /// Runs something beside the calls, until it ends or the node stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        if self.state() != State::Stopped {
            tasks.spawn(task);
        }
    }

    /// Ends what runs beside the calls.
    pub(super) fn end_tasks(&self) {
        drop(std::mem::take(&mut *self.tasks.lock()));
        if let Some(cluster) = &self.cluster {
            cluster.feeds.lose();
        }
    }

    /// Runs a request of a caller of this node.
    pub(super) async fn run_unobserved(self: &Arc<Self>, slot: &Arc<Slot>, mut request: Request) -> Result<Response> {
        let _under_way = self.under_way.begin();
        // After it was noted: whoever stops the engine either sees it or is seen here.
        self.ready()?;
        let local = slot.current()?;
        let (deadline, reads) = (self.deadline(&local, &request), request.is_read());
        request.scope_mut().deadline = Some(deadline);
        let run = async {
            match &self.cluster {
                None => {
                    local.note_reads(&request);
                    self.run_here(slot, request).await
                }
                Some(cluster) => reader::run(self, cluster, slot, request, deadline).await,
            }
        };
        until(&self.clock, deadline, run).await.unwrap_or_else(|| Err(cut_off(reads)))
    }

    /// Returns when a request must have ended.
    pub(super) fn deadline(&self, local: &Local, request: &Request) -> Tick {
        let own = if request.is_read() {
            local.read_timeout().unwrap_or(self.times.read)
        } else {
            local.write_timeout().unwrap_or(self.times.write)
        };
        let own = self.clock.now().after(own);
        request.scope().deadline.map_or(own, |deadline| deadline.min(own))
    }

    /// Runs a request on what this node holds.
    ///
    /// What was written to a keyspace that was updated meanwhile is written again: who reads later reads the new one.
    pub(crate) async fn run_here(&self, slot: &Slot, request: Request) -> Result<Response> {
        loop {
            let local = slot.current()?;
            if request.is_read() {
                return local.run(request).await;
            }
            let response = local.run(request.clone()).await;
            if slot.still_has(&local) {
                return response;
            }
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("state", &self.state()).field("times", &self.times).finish_non_exhaustive()
    }
}

/// The error of a call whose deadline passed.
pub(crate) fn cut_off(reads: bool) -> Error {
    if reads {
        Error::new(ErrorKind::Timeout, "the engine did not answer in time")
    } else {
        Error::new(ErrorKind::Unknown, "the engine did not confirm in time; the write may or may not have happened")
    }
}

/// Runs a future until `deadline`; `None` when it passed first.
pub(crate) fn until<F: Future>(clock: &Arc<dyn Clock>, deadline: Tick, future: F) -> Until<'_, F> {
    crate::peer::until::until(clock, Some(deadline), future)
}

/// Calls under way, for whoever stops the engine.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    calls: AtomicUsize,
    ended: Notify,
}

/// One call under way.
pub(crate) struct Begun<'a>(&'a UnderWay);

impl UnderWay {
    pub(crate) fn begin(&self) -> Begun<'_> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Begun(self)
    }

    /// Waits until no call is under way.
    pub(crate) async fn none(&self) {
        loop {
            let ended = self.ended.notified();
            if self.calls.load(Ordering::SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if self.0.calls.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.ended.notify_waiters();
        }
    }
}
