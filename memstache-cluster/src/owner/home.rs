//! Invalidations of tags, spaces and tenants, numbered by their home.
//!
//! The home of a space is the owner of the partition that its key falls into. It gives each invalidation a number above all that
//! any member knows, and acknowledges it once every member has hidden what is older. A member that knows a higher number refuses
//! with it, and the round is repeated above that: so a home that is new, or two homes at once, come to the same order. All that
//! wait for one keyspace share a round.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::join_all;
use memstache_core::{Error, ErrorKind, Invalidated, KeyspaceName, OneOrMany, Result, Sequence, Target, Tick};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::Local;
use crate::{
    engine::{Node, Slot, cut_off, until},
    member::{Member, MemberState},
    reader::Cluster,
    wire::{Answer, Call, MAX_SEQUENCE},
};

/// Most invalidations that wait for the next round of a keyspace.
const MOST_WAITING: usize = 65_536;
/// Most invalidations of one round.
const MOST_AT_ONCE: usize = 1024;
/// For how many milliseconds a home rests at most that was refused for the first time; it doubles, six times.
const SHORTEST_REST: u64 = 8;
/// How long a member has to confirm, before it is asked again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a home waits before it asks a member again that did not confirm.
const AGAIN: Duration = Duration::from_millis(50);

/// The rounds of a node's keyspaces.
#[derive(Default)]
pub(crate) struct Rounds(Mutex<HashMap<KeyspaceName, Queue>>);

/// What waits for the next round of one keyspace; there is an entry while there are rounds.
type Queue = Vec<(Target, oneshot::Sender<Result<Sequence>>)>;

impl Rounds {
    /// Invalidates targets that this node is the home of.
    ///
    /// # Cancellation
    /// A round that was begun goes on.
    pub(crate) async fn invalidate(
        &self,
        node: &Arc<Node>,
        slot: &Arc<Slot>,
        targets: &OneOrMany<Target>,
        deadline: Tick,
    ) -> Invalidated {
        let waits: Vec<_> = targets.iter().map(|target| self.enqueue(node, slot, target.clone())).collect();
        let wait = |wait: Result<oneshot::Receiver<_>>| async {
            // Its sender is dropped with the node.
            let ended = until(&node.clock, deadline, wait?).await;
            ended.and_then(Result::ok).unwrap_or_else(|| Err(cut_off(false)))
        };
        join_all(waits.into_iter().map(wait)).await.into_iter().collect()
    }

    fn enqueue(
        &self,
        node: &Arc<Node>,
        slot: &Arc<Slot>,
        target: Target,
    ) -> Result<oneshot::Receiver<Result<Sequence>>> {
        let (ended, wait) = oneshot::channel();
        let mut queues = self.0.lock();
        let begins = !queues.contains_key(&slot.name);
        let queue = queues.entry(slot.name.clone()).or_default();
        if queue.len() >= MOST_WAITING {
            let full = Error::new(ErrorKind::Overloaded, "too many invalidations wait for their turn");
            return Err(full.without_effect());
        }
        queue.push((target, ended));
        drop(queues);
        if begins {
            node.spawn(run(Arc::downgrade(node), Arc::clone(slot)));
        }
        Ok(wait)
    }

    /// Takes what waits; without any, there are no more rounds.
    fn next(&self, keyspace: &KeyspaceName) -> Option<Queue> {
        let mut queues = self.0.lock();
        let queue = queues.get_mut(keyspace)?;
        if queue.is_empty() {
            queues.remove(keyspace);
            return None;
        }
        let rest = queue.split_off(queue.len().min(MOST_AT_ONCE));
        Some(std::mem::replace(queue, rest))
    }
}

impl fmt::Debug for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rounds").field("keyspaces", &self.0.lock().len()).finish()
    }
}

/// Has the next invalidation begin rounds anew, should they end by a panic: who waits is told that nobody knows.
struct Ends {
    node: Weak<Node>,
    slot: Arc<Slot>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(node) = self.node.upgrade()
            && let Some(cluster) = node.cluster()
        {
            cluster.rounds.0.lock().remove(&self.slot.name);
        }
    }
}

/// Runs rounds until nothing waits.
async fn run(node: Weak<Node>, slot: Arc<Slot>) {
    let _ends = Ends { node: Weak::clone(&node), slot: Arc::clone(&slot) };
    while let Some(node) = node.upgrade() {
        let Some(cluster) = node.cluster() else { return };
        let Some(waiting) = cluster.rounds.next(&slot.name) else { return };
        let (targets, ended): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let numbers = match slot.current() {
            Ok(local) => round(&node, cluster, &local, &targets).await,
            Err(error) => Err(error),
        };
        for (place, ended) in ended.into_iter().enumerate() {
            let number = numbers.as_ref().map(|first| Sequence(first.0 + place as u64)).map_err(Clone::clone);
            // An error means that the caller left.
            let _ = ended.send(number);
        }
    }
}

/// Spreads targets under numbers that follow each other; returns the first.
async fn round(node: &Node, cluster: &Cluster, local: &Local, targets: &[Target]) -> Result<Sequence> {
    numbered(node, cluster, local, targets.len() as u64, |first| {
        let numbers = (first.0..).map(Sequence);
        let items: Vec<(Target, Sequence)> = targets.iter().cloned().zip(numbers).collect();
        local.hide(&items)?;
        Ok(Call::Spread { keyspace: local.spec.name().clone(), items })
    })
    .await
}

/// Finds so many numbers above all that any member knows, and has every member do what `begin` did here under the first of
/// them and returns as a call; the error of `begin` is a number that is known already. Returns the first.
pub(super) async fn numbered(
    node: &Node,
    cluster: &Cluster,
    local: &Local,
    count: u64,
    begin: impl Fn(Sequence) -> Result<Call, Sequence>,
) -> Result<Sequence> {
    let give_up = cluster.clock.now().after(node.times.write);
    let (mut highest, mut tries) = (local.sequence(), 0);
    loop {
        let before = highest.max(local.sequence()).0;
        let first = Sequence(before.saturating_add(1));
        highest = Sequence(before.checked_add(count).filter(|last| *last <= MAX_SEQUENCE).ok_or_else(exhausted)?);
        let call = match begin(first) {
            Ok(call) => call,
            Err(current) => {
                highest = highest.max(current);
                if cluster.clock.now() >= give_up {
                    return Err(cut_off(false));
                }
                tokio::task::yield_now().await;
                continue;
            }
        };
        // After that: who takes something over has this node agree before it takes its sequence.
        let view = cluster.view();
        let limit = give_up.min(cluster.clock.now().after(PATIENCE));
        let tells = view.others().map(|member| {
            let told = until(&cluster.clock, limit, cluster.call(member, call.clone(), limit));
            async move {
                #[cfg(any(test, feature = "test-util"))]
                if cluster.timing.faults.drops_invalidation() {
                    return (member, Some(Ok(Answer::Done)));
                }
                (member, told.await)
            }
        });
        let (mut unheard, mut refused) = (false, false);
        for (member, told) in join_all(tells).await {
            match told {
                Some(Ok(Answer::Done | Answer::NoKeyspace)) => {}
                Some(Ok(Answer::Sequences(sequences))) => {
                    refused = true;
                    highest = sequences.into_iter().fold(highest, Ord::max);
                }
                // One that was declared dead meanwhile forgets all when it comes back, and one that is starting holds nothing yet: both
                // take the sequences of all before they answer for anything. Who says that it sees others has started.
                told => {
                    let has_started = matches!(told, Some(Ok(Answer::WrongOwner { .. })));
                    let now = cluster.view();
                    let waits = |now: &Member| {
                        now.life().0 == member.life().0 && (has_started || now.state != MemberState::Joining)
                    };
                    unheard |= now.members.get(member.id).is_some_and(waits);
                }
            }
        }
        // Whoever was left out is told of nothing, and may have copies until they end.
        let end = async {
            local.hot.end_of_others(&view).await;
            #[cfg(any(test, feature = "test-util"))]
            if cluster.timing.faults == crate::Faults::NeverWaitForGone {
                return false;
            }
            cluster.gone.answer_no_more(&*cluster.clock).await
        };
        let waited = until(&cluster.clock, give_up, end).await.ok_or_else(|| cut_off(false))?;
        if waited {
            // As long as one does not agree that they are gone, it may agree with them: all are asked again.
            continue;
        }
        // Who came meanwhile was not told.
        if !unheard && !refused && cluster.sees(&view) {
            return Ok(first);
        }
        let now = cluster.clock.now();
        if now >= give_up {
            return Err(cut_off(false));
        }
        if refused {
            // Two homes that go on at once could outbid each other for ever: each waits for a while of its own.
            let most = SHORTEST_REST << tries.min(6);
            let rest = Duration::from_millis(fastrand::u64(1..=most));
            cluster.clock.sleep_until(now.after(rest).min(give_up)).await;
            tries += 1;
        }
        if unheard {
            cluster.clock.sleep_until(now.after(AGAIN).min(give_up)).await;
        }
    }
}

fn exhausted() -> Error {
    Error::new(ErrorKind::Unsupported, "the keyspace has no higher sequence to give").without_effect()
}

impl Local {
    /// Hides what targets cover, under the numbers that their home gave; the error is the current number, if that is higher.
    pub(super) fn hide(&self, items: &[(Target, Sequence)]) -> Result<(), Sequence> {
        let mut current = None;
        for (target, sequence) in items {
            // First: what goes from a copy to the entry itself has its lease before it is looked at.
            if let Some(copies) = &self.replica {
                copies.hide(target, *sequence);
            }
            if let Err(higher) = self.store.invalidate_at(target, *sequence) {
                current = current.max(Some(higher));
            }
        }
        // After the store: a copy that is asked for from here on is of an owner that has hidden it too.
        self.copies.hide(&items.iter().map(|(target, _)| target));
        current.map_or(Ok(()), Err)
    }
}
