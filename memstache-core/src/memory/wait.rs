//! Reads that wait for keys which somebody else loads.

use std::{collections::HashSet, pin::pin, sync::Arc};

use foldhash::fast::RandomState;
use futures_util::future::{join_all, select};

use super::{leases::Waiter, policy::EvictionPolicy, shared::Shared};
use crate::{
    clock::{BoxFuture, Clock, Tick},
    error::Result,
    request::{Found, Get, GetItem, LeaseId, Lookup, OnMiss, OneOrMany, TouchItem, TouchKind},
    util,
};

/// A read that is answered, or one that must wait.
pub(super) enum Begun {
    Ready(Found),
    Waiting(BoxFuture<'static, Found>),
}

/// The answers so far: `None` where a key is busy.
type Answers = OneOrMany<Option<Result<Lookup>>>;

impl<P: EvictionPolicy> Shared<P> {
    /// Answers a read at once, unless it is to wait for a busy key.
    pub(super) fn begin_get(self: &Arc<Self>, op: Get) -> Begun {
        let now = self.clock.now();
        if op.on_miss != OnMiss::Wait {
            return Begun::Ready(op.items.map_ref(|item| self.look(item, op.on_miss, &op.scope, now)));
        }
        let mut answers = op.items.map_ref(|_| None);
        if self.ask(&op, &mut answers, now).is_empty() {
            return Begun::Ready(finished(answers));
        }
        self.let_go(&op.items, &mut answers, now);
        Begun::Waiting(Box::pin(Arc::clone(self).finish_get(op, answers)))
    }

    /// Waits until no key is busy.
    ///
    /// Nothing that was granted is held while it waits: two batches with the same keys cannot wait for each other, and
    /// dropping the future leaves no lease behind. The last round, which grants, is not interrupted.
    async fn finish_get(self: Arc<Self>, op: Get, mut answers: Answers) -> Found {
        loop {
            // Before the keys are looked at, so that no clear goes unnoticed.
            let mut clears = self.clears.subscribe();
            let now = self.clock.now();
            let waiters = self.ask(&op, &mut answers, now);
            if waiters.is_empty() {
                self.keep_swept();
                return finished(answers);
            }
            self.let_go(&op.items, &mut answers, now);
            let ended = waiters.into_iter().map(|waiter| waited(&self.clock, op.scope.deadline, waiter));
            select(pin!(join_all(ended)), pin!(clears.changed())).await;
        }
    }

    /// Looks at what has no answer yet; returns the keys that are busy.
    fn ask(&self, op: &Get, answers: &mut Answers, now: Tick) -> Vec<Waiter> {
        let late = op.scope.deadline.is_some_and(|deadline| now >= deadline);
        let mut waiters = Vec::new();
        let mut granted = HashSet::with_hasher(RandomState::default());
        for (item, answer) in op.items.iter().zip(answers.iter_mut()).filter(|(_, answer)| answer.is_none()) {
            *answer = match self.look_or_wait(item, &op.scope, now) {
                Ok(found) => {
                    granted.extend(lease_of(&found));
                    Some(found)
                }
                // The same key twice in one batch: who asks is the one to load it and must not wait for itself.
                Err(waiter) if granted.contains(&waiter.id) => Some(Ok(Lookup::Busy(Some(waiter.id)))),
                Err(_) if late => {
                    Some(Err(util::timed_out("the key was still being loaded by another").without_effect()))
                }
                Err(waiter) => {
                    waiters.push(waiter);
                    None
                }
            };
        }
        waiters
    }

    /// Gives back the leases among the answers, to be asked for again after the wait.
    fn let_go(&self, items: &OneOrMany<GetItem>, answers: &mut Answers, now: Tick) {
        for (item, answer) in items.iter().zip(answers.iter_mut()) {
            let Some(found) = answer else { continue };
            if let Some(lease) = lease_of(found) {
                self.touch_one(TouchItem { address: item.address.clone(), kind: TouchKind::Release(lease) }, now);
                *answer = None;
            } else if matches!(found, Ok(Lookup::Busy(_))) {
                *answer = None;
            }
        }
    }
}

fn lease_of(found: &Result<Lookup>) -> Option<LeaseId> {
    match found {
        Ok(Lookup::Leased(lease) | Lookup::Stale(_, Some(lease))) => Some(lease.id),
        _ => None,
    }
}

/// Waits until a lease has ended, or until it is time to look whether it has aged out.
async fn waited(clock: &Arc<dyn Clock>, deadline: Option<Tick>, mut waiter: Waiter) {
    let until = deadline.map_or(waiter.until, |deadline| deadline.min(waiter.until));
    // Both outcomes mean the same: look again.
    let _ = util::until(clock, Some(until), waiter.ended.changed()).await;
}

fn finished(answers: Answers) -> Found {
    answers.map(|answer| answer.expect("every key has its answer"))
}
