//! Bringing one member to what this node holds.

use std::{
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    time::Duration,
};

use memstache_core::{Address, Entry, OneOrMany, Result};

use super::Local;
use crate::{
    engine::{Node, Slot, cut_off, until},
    member::NodeId,
    placement::partition_of,
    reader::{Cluster, View},
    wire::{Answer, Call},
};

/// Most keys of one push, and most bytes of values, but for a single one.
const MOST_KEYS: usize = 256;
const MOST_BYTES: usize = 1 << 20;
/// How long a member has to confirm, before it is asked again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long an owner waits before it asks a member again that did not confirm.
const AGAIN: Duration = Duration::from_millis(50);

/// Pushes to a member until nothing waits.
pub(super) async fn run(node: Weak<Node>, slot: Arc<Slot>, member: NodeId) {
    while let Some(node) = node.upgrade() {
        let Some(cluster) = node.cluster() else { return };
        let Some(waiting) = cluster.replication.next(&slot.name, member) else { return };
        let (keys, ended): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let pushed = match slot.current() {
            Ok(local) => push(&node, cluster, &local, member, &keys).await,
            // It was deleted, with all copies.
            Err(_) => Ok(()),
        };
        for ended in ended.into_iter().flatten() {
            // An error means that the caller left.
            let _ = ended.send(pushed.clone());
        }
    }
}

async fn push(node: &Node, cluster: &Cluster, local: &Local, member: NodeId, mut keys: &[Address]) -> Result<()> {
    let give_up = cluster.clock.now().after(node.times.write);
    while !keys.is_empty() {
        let view = cluster.view();
        // Who is gone has forgotten all when it comes back.
        let Some(to) = view.members.get(member) else { return Ok(()) };
        let items = local.state(cluster, &view, member, keys).await;
        let (count, holds) = (items.len(), items.iter().any(|(_, entry)| entry.is_some()));
        let stamp = cluster.replication.stamp.fetch_add(1, Relaxed) + 1;
        let call = Call::Push { keyspace: local.spec.name().clone(), stamp, items };
        let limit = give_up.min(cluster.clock.now().after(PATIENCE));
        match until(&cluster.clock, limit, cluster.call(to, call, limit)).await {
            Some(Ok(Answer::Done)) => {
                if cluster.sees(&view) {
                    view.agreed(member);
                }
                keys = &keys[count..];
                continue;
            }
            // It keeps no copies of this one.
            Some(Ok(Answer::NoKeyspace)) => {
                keys = &keys[count..];
                continue;
            }
            // It has dropped what it was given, and that is all that was asked.
            Some(Ok(Answer::WrongOwner { .. })) if !holds => {
                keys = &keys[count..];
                continue;
            }
            _ => {}
        }
        let now = cluster.clock.now();
        if now >= give_up {
            return Err(cut_off(false));
        }
        cluster.clock.sleep_until(now.after(AGAIN).min(give_up)).await;
    }
    Ok(())
}

impl Local {
    /// Returns what is held of the first of these keys, as far as one push goes; nothing of what the member keeps no copy of.
    async fn state(
        &self,
        cluster: &Cluster,
        view: &View,
        member: NodeId,
        keys: &[Address],
    ) -> Vec<(Address, Option<Entry>)> {
        let some = &keys[..keys.len().min(MOST_KEYS)];
        let keeps = |address: &Address| {
            let partition = partition_of(address.stored());
            view.table.owns(cluster.me, partition) && view.table.ranked(partition, self.replicas()).contains(&member)
        };
        let held = self.peek(some.iter().cloned().collect::<OneOrMany<_>>()).await;
        let mut bytes = 0;
        let fits = |(_, entry): &(Address, Option<Entry>)| {
            let (before, len) = (bytes, entry.as_ref().map_or(0, |entry| entry.value.len()));
            bytes += len;
            before == 0 || bytes <= MOST_BYTES
        };
        let state = |(address, entry): (&Address, Option<Entry>)| (address.clone(), entry.filter(|_| keeps(address)));
        some.iter().zip(held).map(state).take_while(fits).collect()
    }
}
