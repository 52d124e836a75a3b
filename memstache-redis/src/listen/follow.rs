//! Listening to one primary, for as long as it is one.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{Either, select};
use memstache_core::Invalidation;
use tokio::sync::mpsc;

use super::{
    Context, Purpose, RECORDS,
    canary::{Canary, Due},
    hub, prefixes,
    wire::{Heard, Wire},
};
use crate::{
    client::{Node, Reply},
    layout::marker,
};

/// The first pause after a connection broke, which doubles up to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How long a canary's key is there if nobody takes it away.
const CANARY_MILLIS: &[u8] = b"5000";

/// What a follower tells its supervisor.
pub(super) struct News {
    pub(super) node: Arc<str>,
    pub(super) up: bool,
}

/// Connects, listens, connects again; ends only by being aborted.
pub(super) async fn follow(
    context: Arc<Context>,
    purpose: fn(&Context) -> &Purpose,
    name: Arc<str>,
    news: mpsc::Sender<News>,
) {
    let mut pause = PAUSES.0;
    loop {
        let node = context.client.topology().nodes.iter().find(|node| node.name == name).cloned();
        if let Some(node) = node {
            let mut heard = false;
            let ended = listen(&context, purpose(&context), &node, &news, &mut heard).await;
            let error = ended.err().map_or(io::ErrorKind::Other, |error| error.kind());
            tracing::warn!(server = &*name, %error, heard, "a line on which a server tells of changes is down");
            if news.send(News { node: Arc::clone(&name), up: false }).await.is_err() {
                return;
            }
            pause = if heard { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
        }
        context.clock.sleep_until(context.clock.now().after(pause)).await;
    }
}

/// Listens on one connection until it fails.
async fn listen(
    context: &Context,
    purpose: &Purpose,
    node: &Node,
    news: &mpsc::Sender<News>,
    up: &mut bool,
) -> io::Result<()> {
    let prefixes = prefixes(&context.keys, purpose);
    let mut command: Vec<&[u8]> = vec![b"CLIENT", b"TRACKING", b"ON", b"BCAST"];
    for prefix in &prefixes {
        command.extend([b"PREFIX", &prefix[..]]);
    }
    let mut wire = context.dialer.dial(node, &*context.clock, &command).await?;
    let mut canary = Canary::new(context.canary_interval, context.clock.now());
    loop {
        let wake = match canary.due(context.clock.now()) {
            Due::Wait(until) => context.clock.sleep_until(until),
            Due::Lost => {
                tracing::warn!(server = &*node.name, "a server does not tell what changes on it");
                return Err(io::ErrorKind::TimedOut.into());
            }
            Due::Send => {
                let nonce = fastrand::u64(..);
                send(context, &mut wire, node, nonce).await?;
                canary.sent(nonce, context.clock.now());
                continue;
            }
        };
        let heard = match select(Box::pin(wire.hear()), wake).await {
            Either::Left((heard, _)) => heard?,
            Either::Right(_) => continue,
        };
        let keys = match heard {
            Heard::Answer(answer) => {
                moved(answer)?;
                continue;
            }
            Heard::Flushed => {
                context.waiters.wake_all();
                if purpose.changes {
                    context.hub.gap();
                }
                continue;
            }
            Heard::Changed(keys) => keys,
        };
        for key in &keys {
            let Some(nonce) = context.keys.canary_nonce(key) else {
                tell(context, purpose, key);
                continue;
            };
            let Some(lag) = canary.returned(nonce, context.clock.now()) else { continue };
            context.lag.note(lag);
            if !*up {
                *up = true;
                // Waits for the supervisor: what comes later is told later.
                let told = news.send(News { node: Arc::clone(&node.name), up: true }).await;
                told.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            }
        }
    }
}

/// Changes something for no other reason than to be told.
async fn send(context: &Context, wire: &mut Wire, node: &Node, nonce: u64) -> io::Result<()> {
    // Slots move: by what is known now.
    let topology = context.client.topology();
    let node = topology.nodes.iter().find(|known| known.is_at(node)).unwrap_or(node);
    let tag = node.tag().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let key = context.keys.canary(&tag, nonce);
    wire.send(&[b"SET", &key, b"", b"PX", CANARY_MILLIS]).await?;
    wire.send(&[b"DEL", &key]).await
}

/// A server that is no primary any more says so to its canary.
fn moved(answer: Result<Reply, crate::client::Failure>) -> io::Result<()> {
    answer.map(drop).map_err(|failure| io::Error::other(format!("the server refused: {failure:?}")))
}

fn tell(context: &Context, purpose: &Purpose, key: &Bytes) {
    match context.keys.parse(key) {
        Some((b'w', stored)) => context.waiters.wake(&stored),
        Some((b'r', _)) => context.waiters.wake(RECORDS),
        Some((b'v', stored)) if purpose.changes => context.hub.tell(hub::changed(&stored)),
        Some((b'i', rest)) if purpose.changes => match marker::parse(&rest) {
            Some(change) => context.hub.tell(change),
            // A newer release's: it hides something, and nobody here knows what.
            None => context.hub.tell(Invalidation::Gap),
        },
        _ => {}
    }
}
