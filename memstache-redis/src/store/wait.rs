//! Reads that wait for keys which somebody else loads.

use std::{collections::HashSet, time::Duration};

use futures_util::future::select;
use memstache_core::{Error, ErrorKind, Get, GetItem, LeaseId, Lookup, Result};

use super::{get::Mode, shared::Shared, touch::Kind};

/// How long a waiter goes without looking when it is told of the end of leases.
const TOLD: Duration = Duration::from_secs(1);
/// And when the line on which it would be told is down.
const UNTOLD: Duration = Duration::from_millis(100);

impl Shared {
    /// Reads, and waits until no key is busy or the deadline has passed.
    ///
    /// Nothing that was granted is held while it waits, so that two batches never wait for each other.
    pub(super) async fn wait(&self, op: &Get) -> Vec<Result<Lookup>> {
        let items = op.items.as_slice();
        let mut answers: Vec<Option<Result<Lookup>>> = items.iter().map(|_| None).collect();
        // The keys that were in the way.
        let mut blocked: Vec<usize> = (0..items.len()).collect();
        loop {
            // Before the keys are looked at, so that no end goes unnoticed.
            let mut watch = self.listeners.watch(blocked.iter().map(|at| items[*at].address.stored()));
            let late = op.scope.deadline.is_some_and(|deadline| self.clock.now() >= deadline);
            let mut granted = HashSet::new();
            let mut busy = None;
            if items.len() > 1 {
                // Nothing is taken, not even for a moment, while something else is in the way.
                busy = self.ask_open(op, &blocked, Mode::Peek, &mut answers, &mut granted, late).await;
                for at in &blocked {
                    if matches!(answers[*at], Some(Ok(Lookup::Miss | Lookup::Stale(..)))) {
                        answers[*at] = None;
                    }
                }
            }
            let rest: Vec<_> = (0..items.len()).filter(|at| answers[*at].is_none()).collect();
            if busy.is_none() && !rest.is_empty() {
                watch = self.listeners.watch(rest.iter().map(|at| items[*at].address.stored()));
                busy = self.ask_open(op, &rest, Mode::Wait, &mut answers, &mut granted, late).await;
            }
            let Some((keys, left)) = busy else { break };
            watch.keep(keys.iter().map(|at| items[*at].address.stored()));
            blocked = keys;
            self.let_go(items, &mut answers).await;
            let patience = if watch.is_told() { TOLD } else { UNTOLD };
            // A lease that ages out tells nobody; a millisecond more, for the server rounds down.
            let wake = self.clock.now().after(patience.min(left + Duration::from_millis(1)));
            let wake = op.scope.deadline.map_or(wake, |deadline| wake.min(deadline));
            // Both mean the same: look again.
            drop(select(Box::pin(watch.told()), self.clock.sleep_until(wake)).await);
        }
        answers.into_iter().map(|answer| answer.expect("every key has its answer")).collect()
    }

    /// Asks for some keys; returns those that are to be waited for, with the shortest remaining time of their leases.
    async fn ask_open(
        &self,
        op: &Get,
        open: &[usize],
        mode: Mode,
        answers: &mut [Option<Result<Lookup>>],
        granted: &mut HashSet<LeaseId>,
        late: bool,
    ) -> Option<(Vec<usize>, Duration)> {
        let asked: Vec<GetItem> = open.iter().map(|at| op.items.as_slice()[*at].clone()).collect();
        let (found, left) = self.look(&asked, mode, &op.scope).await;
        granted.extend(found.iter().filter_map(lease_of));
        for (at, found) in open.iter().zip(found) {
            answers[*at] = Some(found);
        }
        let busy = open.iter().copied().filter(|at| is_busy(&mut answers[*at], granted, late)).collect::<Vec<_>>();
        (!busy.is_empty()).then(|| (busy, left.unwrap_or(TOLD)))
    }

    /// Gives back the leases among the answers, to be asked for again after the wait.
    async fn let_go(&self, items: &[GetItem], answers: &mut [Option<Result<Lookup>>]) {
        let mut released = Vec::new();
        for (item, answer) in items.iter().zip(answers) {
            let Some(found) = answer else { continue };
            if let Some(lease) = lease_of(found) {
                released.push((&item.address, Kind::Release(lease)));
                *answer = None;
            } else if matches!(found, Ok(Lookup::Busy(_))) {
                *answer = None;
            }
        }
        if !released.is_empty() {
            // One that cannot be given back ages out.
            self.touch_raw(&released, self.clock.now().after(self.settings.call_timeout)).await;
        }
    }
}

/// Returns whether a key is to be waited for; who asked twice for one key does not wait for itself.
fn is_busy(answer: &mut Option<Result<Lookup>>, granted: &HashSet<LeaseId>, late: bool) -> bool {
    let Some(Ok(Lookup::Busy(lease))) = answer else { return false };
    if lease.is_some_and(|lease| granted.contains(&lease)) {
        return false;
    }
    if late {
        *answer =
            Some(Err(Error::new(ErrorKind::Timeout, "the key was still being loaded by another").without_effect()));
    }
    !late
}

fn lease_of(found: &Result<Lookup>) -> Option<LeaseId> {
    match found {
        Ok(Lookup::Leased(lease) | Lookup::Stale(_, Some(lease))) => Some(lease.id),
        _ => None,
    }
}
