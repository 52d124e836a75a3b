//! What the clones of a store share.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use memstache_core::{Clock, Error, ErrorKind, InvalidationStream, Result, Scope, SetItem, Tick};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{clocks::ServerClocks, errors, known::Known, prospects::Prospects, writes::Writes};
use crate::{
    builder::Settings,
    client::{Client, Command, Failure, Gather, Guarded, Node, slot_of},
    health::RedisHealth,
    layout::Keys,
    listen::Listeners,
    script::{Args, Scripts},
    stats::{Counters, RedisStats},
};

/// How often a server that does not answer yet is asked again by who waits for it.
const LOOK: Duration = Duration::from_millis(20);

/// In what the room for writes is counted.
const UNIT: usize = 1024;

pub(crate) struct Shared {
    pub(crate) client: Guarded,
    pub(super) gather: Arc<Gather>,
    pub(super) writes: Writes,
    pub(crate) raw: Arc<dyn Client>,
    pub(crate) keys: Keys,
    pub(crate) scripts: Scripts,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(super) clocks: Arc<ServerClocks>,
    pub(super) known: Known,
    pub(super) prospects: Prospects,
    pub(crate) listeners: Listeners,
    pub(super) counters: Counters,
    /// Room for the bytes of writes under way, in units of a KiB.
    room: Arc<Semaphore>,
}

impl Shared {
    pub(crate) fn new(
        raw: Arc<dyn Client>,
        keys: Keys,
        settings: Settings,
        listeners: Listeners,
        runtime: Handle,
    ) -> Self {
        let clock = Arc::clone(&settings.clock);
        let room = Arc::new(Semaphore::new(settings.max_in_flight_bytes / UNIT));
        let (clocks, client) = (Arc::default(), Guarded::new(Arc::clone(&raw), Arc::clone(&clock), runtime.clone()));
        let noted: Arc<ServerClocks> = Arc::clone(&clocks);
        client.keep_pulse(Arc::new(move |server, server_us, sent_at, now| noted.note(server, server_us, sent_at, now)));
        Self {
            gather: Gather::new(client.clone(), runtime.clone()),
            writes: Writes::new(settings.max_queued, runtime),
            client,
            raw,
            keys,
            scripts: Scripts::new(),
            settings,
            clock,
            clocks,
            known: Known::default(),
            prospects: Prospects::default(),
            listeners,
            counters: Counters::default(),
            room,
        }
    }

    /// Returns when a call is given up.
    pub(super) fn deadline(&self, scope: &Scope) -> Tick {
        let own = self.clock.now().after(self.settings.call_timeout);
        scope.deadline.map_or(own, |deadline| deadline.min(own))
    }

    /// Takes room for the bytes of a write, until it has ended.
    pub(super) fn room_for(&self, items: &[SetItem]) -> Result<OwnedSemaphorePermit> {
        let bytes: usize = items.iter().map(|item| item.entry.value.len() + item.address.stored().len()).sum();
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        Arc::clone(&self.room).try_acquire_many_owned(units).map_err(|_| {
            let limit = self.settings.max_in_flight_bytes;
            Error::new(ErrorKind::Overloaded, format!("writes under way hold the {limit} bytes that they may hold"))
        })
    }

    pub(super) fn subscribe(&self) -> InvalidationStream {
        self.listeners.subscribe()
    }

    pub(super) async fn ready(&self, within: Duration) -> Result<()> {
        let deadline = self.clock.now().after(within);
        loop {
            if let Some(code) = self.raw.refused() {
                return Err(errors::of_read(&Failure::Server(code)));
            }
            let topology = self.raw.topology();
            let answers = join_all(topology.nodes.iter().map(|node| self.may_work_on(node))).await;
            if let Some(refusal) = answers.iter().filter_map(|answer| answer.as_ref().err()).find(|it| it.is_refusal())
            {
                return Err(errors::of_read(refusal));
            }
            if !answers.is_empty() && answers.iter().all(Result::is_ok) && self.listeners.is_ready() {
                return Ok(());
            }
            if self.clock.now() >= deadline {
                return Err(Error::new(ErrorKind::Timeout, "redis was not ready in time"));
            }
            self.clock.sleep_until(self.clock.now().after(LOOK)).await;
        }
    }

    /// Asks a server whether it is there, and lets us read keys and run scripts.
    async fn may_work_on(&self, node: &Node) -> Result<(), Failure> {
        let slot = node.slots.first().map_or(0, |(first, _)| *first);
        let send = |command| self.raw.send(slot, command, self.settings.read_timeout);
        send(Command::plain("PING", &[])).await?;
        if let Some(tag) = node.tag() {
            let key = self.keys.canary(&tag, 0);
            self.raw.send(slot_of(&key), Command::new("MGET", [key]), self.settings.read_timeout).await?;
        }
        // Of no items: it only looks at the clock.
        let mut nothing = Args::default();
        [0; 5].into_iter().for_each(|zero| {
            nothing.number(zero);
        });
        match send(self.scripts.touch.call(&[], nothing.as_slice())).await {
            Err(Failure::Server(code)) if code == "NOSCRIPT" => {
                send(self.scripts.touch.teach(&[], nothing.as_slice())).await.map(drop)
            }
            answer => answer.map(drop),
        }
    }

    pub(super) async fn health(&self) -> RedisHealth {
        RedisHealth::ask(&*self.raw, &self.client, &self.listeners, self.settings.read_timeout).await
    }

    pub(super) fn stats(&self) -> RedisStats {
        RedisStats::new(&self.counters, self.client.stats(), &self.listeners)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.listeners.stop();
        self.raw.close();
    }
}
