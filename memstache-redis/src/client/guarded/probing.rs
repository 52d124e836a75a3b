//! Asking servers whether they are there, off the path of any request.

use std::{
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    time::Duration,
};

use memstache_core::{Tick, resilience::BreakerState};

use super::{Call, Inner};
use crate::client::{Command, Failure};

/// How often servers are asked whether they are there, while there is something to do: a server that hangs is noticed
/// within a second, however patient the commands are.
pub(super) const PULSE: Duration = Duration::from_millis(250);
/// How much later than it should a ping may be given up and still say something: a process that was kept from running for
/// longer may have been kept from the answer as well.
pub(super) const LATE: Duration = Duration::from_millis(100);
/// How long a probe may take.
pub(super) const PROBE: Duration = Duration::from_millis(250);
/// The least time from one probe to the next.
pub(super) const REST: Duration = Duration::from_millis(250);

/// Hears the time of a server, in µs, and when it was asked and answered.
pub(crate) type Told = Arc<dyn Fn(&Arc<str>, u64, Tick, Tick) + Send + Sync>;

/// Pings all servers at each beat, and asks them for the time, if there was something to do since the last.
pub(super) async fn pulse(inner: Weak<Inner>, told: Told) {
    let mut seen = 0;
    while let Some(guard) = inner.upgrade() {
        let wake = guard.clock.sleep_until(guard.clock.now().after(PULSE));
        drop(guard);
        wake.await;
        let Some(guard) = inner.upgrade() else { return };
        let before = std::mem::replace(&mut seen, guard.sent.load(Relaxed));
        if before == seen && guard.under_way.load(Relaxed) == 0 {
            continue;
        }
        for node in &guard.client.topology().nodes {
            let slot = node.slots.first().map_or(0, |(first, _)| *first);
            // Not waited for: the next beat comes in time.
            tokio::spawn(ping(Arc::clone(&guard), Arc::clone(&node.name), slot, Arc::clone(&told)));
        }
    }
}

async fn ping(inner: Arc<Inner>, server: Arc<str>, slot: u16, told: Told) {
    let since = inner.clock.now();
    let Some(permit) = inner.permit(&server, since) else { return };
    let mut call =
        Call { inner: &inner, server: Arc::clone(&server), slot, since, permit: Some(permit), watched: None };
    let answer = inner.client.send(slot, Command::plain("PING", &[]), PULSE).await;
    if answer == Err(Failure::Timeout) && inner.clock.now().since(since) > PULSE + LATE {
        call.ignore();
    } else {
        call.note(answer.as_ref().err());
    }
    drop(call);
    // Beside it: a server that does not serve yet knows what time it is.
    let sent_at = inner.clock.now();
    if answer.is_ok()
        && let Ok(time) = inner.client.send(slot, Command::plain("TIME", &[]), PULSE).await
        && let Some(server_us) = time.as_time()
        && inner.server_of(slot) == server
    {
        told(&server, server_us, sent_at, inner.clock.now());
    }
}

/// Who asks whether a server is back. When it goes before that is so, with its runtime, the server is asked by requests
/// again: nobody else would.
pub(super) struct Prober {
    inner: Weak<Inner>,
    server: Arc<str>,
}

impl Prober {
    pub(super) fn new(inner: &Arc<Inner>, server: &Arc<str>) -> Self {
        Self { inner: Arc::downgrade(inner), server: Arc::clone(server) }
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        let Some(inner) = self.inner.upgrade() else { return };
        let mut servers = inner.servers.lock();
        if servers.get(&self.server).is_some_and(|server| server.breaker.state() != BreakerState::Closed) {
            servers.remove(&self.server);
        }
    }
}

/// Asks until a server, or the one that took over its slot, answers; off the path of any request.
pub(super) async fn probe(prober: Prober, slot: u16) {
    let (inner, server) = (&prober.inner, &prober.server);
    let mut rests = Tick::default();
    while let Some(guard) = inner.upgrade() {
        let Some(at) = guard.probe_at(server, slot) else { return };
        // A probe that was not even sent says nothing, and the next is due at once.
        let wake = guard.clock.sleep_until(at.max(rests));
        drop(guard);
        wake.await;
        let Some(guard) = inner.upgrade() else { return };
        let since = guard.clock.now();
        rests = since.after(REST);
        let Some(permit) = guard.probe_permit(server) else { continue };
        let mut call =
            Call { inner: &guard, server: Arc::clone(server), slot, since, permit: Some(permit), watched: None };
        let answer = guard.client.send(slot, Command::plain("PING", &[]), PROBE).await;
        call.note(answer.as_ref().err());
    }
}
