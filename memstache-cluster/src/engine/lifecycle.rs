//! Starting and stopping.

use std::sync::Arc;

use memstache_core::{Error, ErrorKind, HealthReport, PartHealth, Result};

use super::{
    ClusterConfig, Engine, EngineError, Events,
    node::{Node, State, until},
    slot::Slot,
};
use crate::reader::{Cluster, warm_on_start};

impl Engine {
    /// Starts the engine; it takes calls once this returns. One that runs is left as it is.
    ///
    /// In a cluster it listens for peers, asks who is there, waits for the quorum, and becomes active. It owns its share a moment
    /// later: until it [is ready](Self::is_ready), writes may be refused as [`Unavailable`](ErrorKind::Unavailable). A start that
    /// fails has undone what it began, and has left the membership.
    ///
    /// Errors: [`EngineError::Stopped`] for an engine that was stopped; [`EngineError::ClusterQuorum`] if there were not enough
    /// members within the bootstrap timeout; [`Io`](ErrorKind::Io) if it cannot listen.
    ///
    /// # Cancellation
    /// A start that is dropped has not started; it can be repeated.
    pub async fn start(&self) -> Result<()> {
        let node = &self.node;
        let _alone = node.lifecycle.lock().await;
        match node.state() {
            State::Running => Ok(()),
            State::Stopping | State::Stopped => Err(EngineError::Stopped.into()),
            State::New => {
                if let Some(config) = &node.config {
                    let joined = config.join(node).await?;
                    *node.joined.lock() = Some(joined);
                }
                node.enter(State::Running);
                warm_on_start(node);
                Ok(())
            }
        }
    }

    /// Stops the engine: takes no more calls, waits for those under way within the shutdown timeout, and ends all events.
    ///
    /// In a cluster it first gives up what it owns, has the new owners take what it holds within half of that time, and leaves.
    /// Everything is closed, whatever failed. One that was stopped is left as it is.
    ///
    /// Errors: [`Timeout`](ErrorKind::Timeout) if calls were still under way.
    ///
    /// # Cancellation
    /// A stop that is dropped has stopped nothing for good: what it gave up is another's, and calls may still be taken. It is to be
    /// repeated, and goes on where it was.
    pub async fn stop(&self) -> Result<()> {
        let node = &self.node;
        let _alone = node.lifecycle.lock().await;
        if node.state() == State::Stopped {
            return Ok(());
        }
        let deadline = node.clock.now().after(node.times.shutdown);
        let has_joined = node.joined.lock().is_some();
        if let Some(config) = node.config.as_ref().filter(|_| has_joined) {
            // Before it takes no more calls: new owners ask for what it holds.
            config.leave(node, deadline).await;
        }
        node.enter(State::Stopping);
        // Before connections are closed: calls under way may need others.
        let drained = until(&node.clock, deadline, node.under_way.none()).await;
        let joined = node.joined.lock().take();
        if let Some(joined) = joined {
            joined.close(deadline).await;
        }
        node.events.close();
        node.enter(State::Stopped);
        node.end_tasks();
        drained.ok_or_else(|| Error::new(ErrorKind::Timeout, "calls were still under way when the engine stopped"))
    }

    /// Gives up what this node owns and has the new owners take what it holds, within half of the shutdown timeout; it goes on
    /// answering its callers, by asking the others. [`stop`](Self::stop) does the same before it stops.
    ///
    /// A node that was drained is not [ready](Self::is_ready), and does not come back before it is started anew.
    ///
    /// Errors: those of a call to an engine that does not run; [`Unsupported`](ErrorKind::Unsupported) for one that stands
    /// alone: it has nobody to hand anything over to.
    ///
    /// # Cancellation
    /// What the node owned is given up; what was not taken yet is loaded anew by its new owners.
    pub async fn drain(&self) -> Result<()> {
        let node = &self.node;
        let config = node.can_drain()?;
        config.hand_over(node, node.clock.now().after(node.times.shutdown / 2)).await;
        Ok(())
    }

    /// Begins to drain, beside the calls.
    #[cfg(feature = "admin")]
    pub(crate) fn begin_drain(&self) -> Result<()> {
        self.node.can_drain()?;
        let engine = self.clone();
        // It ends within half of the shutdown timeout; an engine that stops meanwhile ends it.
        self.node.spawn(async move { drop(engine.drain().await) });
        Ok(())
    }

    /// Returns whether the engine takes calls and, in a cluster, owns its share: what a readiness probe asks.
    pub fn is_ready(&self) -> bool {
        let owns = |cluster: &Arc<Cluster>| cluster.view().table.nodes().iter().any(|(id, _)| *id == cluster.me);
        self.node.ready().is_ok() && self.node.cluster().is_none_or(owns)
    }

    /// Returns what happens in the cluster from now on, after the members that are there now.
    ///
    /// ```
    /// # use memstache_cluster::Engine;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> memstache_core::Result<()> {
    /// let engine = Engine::builder().build()?;
    /// let mut events = engine.events();
    /// engine.stop().await?;
    /// assert_eq!(events.next().await, None);
    /// # Ok(()) }
    /// ```
    pub fn events(&self) -> Events {
        self.node.events.subscribe(|| self.node.peers())
    }

    /// Says how the engine and the parts of its keyspaces are.
    pub fn health(&self) -> HealthReport {
        let node = &self.node;
        let engine = PartHealth::healthy("engine").with("keyspaces", node.registry.all().len());
        let engine = match node.state() {
            State::Running => engine,
            State::New => engine.down("the engine was not started"),
            State::Stopping | State::Stopped => engine.down("the engine was stopped"),
        };
        let parts = node.registry.all().into_iter().flat_map(|local| local.health());
        std::iter::once(engine).chain(parts).collect()
    }
}

impl Node {
    /// Returns how it takes part in a cluster, if it does.
    pub(super) fn can_drain(&self) -> Result<&ClusterConfig> {
        self.ready()?;
        let alone = || Error::new(ErrorKind::Unsupported, "a node that stands alone has nobody to hand over to");
        self.config.as_ref().ok_or_else(alone)
    }

    /// Says how one keyspace is: as its worst part.
    pub(super) fn health_of(&self, slot: &Slot) -> PartHealth {
        let part = PartHealth::healthy("engine");
        if let Err(error) = self.ready() {
            return part.down(error.to_string());
        }
        match slot.current() {
            Err(error) => part.down(error.to_string()),
            Ok(local) => local.health().into_iter().max_by_key(|part| part.condition).unwrap_or(part),
        }
    }
}
