//! Reads that wait for keys which somebody else loads.

use std::{pin::pin, sync::Arc};

use futures_util::future::{join_all, select};

use super::{leases::Waiter, policy::EvictionPolicy, shared::Shared};
use crate::{
    clock::{BoxFuture, Clock, Tick},
    error::Result,
    request::{Found, Get, GetItem, Lookup, OnMiss, OneOrMany, TouchItem, TouchKind},
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
        let mut answers = op.items.map_ref(|item| self.look_or_wait(item, &op.scope, now).ok());
        if answers.iter().all(Option::is_some) {
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
            let waiters = self.ask_again(&op, &mut answers, now);
            if waiters.is_empty() {
                return finished(answers);
            }
            self.let_go(&op.items, &mut answers, now);
            let ended = waiters.into_iter().map(|waiter| waited(&self.clock, op.scope.deadline, waiter));
            select(pin!(join_all(ended)), pin!(clears.changed())).await;
        }
    }

    /// Looks again at what has no answer; returns the keys that are still busy.
    fn ask_again(&self, op: &Get, answers: &mut Answers, now: Tick) -> Vec<Waiter> {
        let late = op.scope.deadline.is_some_and(|deadline| now >= deadline);
        let mut waiters = Vec::new();
        for (item, answer) in op.items.iter().zip(answers.iter_mut()).filter(|(_, answer)| answer.is_none()) {
            match self.look_or_wait(item, &op.scope, now) {
                Ok(found) => *answer = Some(found),
                Err(_) if late => *answer = Some(Err(util::timed_out("the key was still being loaded by another"))),
                Err(waiter) => waiters.push(waiter),
            }
        }
        waiters
    }

    /// Gives back the leases among the answers, to be asked for again after the wait.
    fn let_go(&self, items: &OneOrMany<GetItem>, answers: &mut Answers, now: Tick) {
        for (item, answer) in items.iter().zip(answers.iter_mut()) {
            let Some(Ok(Lookup::Leased(lease) | Lookup::Stale(_, Some(lease)))) = answer else { continue };
            self.touch_one(TouchItem { address: item.address.clone(), kind: TouchKind::Release(lease.id) }, now);
            *answer = None;
        }
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
