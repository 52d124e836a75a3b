//! The task that follows what changes below, and tells below what was read here.

use std::{
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{
    StreamExt,
    future::{Either, select},
};
use parking_lot::Mutex;
use tokio::{sync::mpsc, task::AbortHandle};

use super::{Copies, layer::Subscribe};
use crate::{
    address::Address,
    coherence::{Invalidation, InvalidationStream},
    request::{OneOrMany, Request, Response, Scope, Touch, TouchItem, TouchKind},
    service::{CacheService, oneshot},
    util::until,
};

/// How long after the stream of changes ended it is subscribed to again.
const RESUBSCRIBE: Duration = Duration::from_secs(1);
/// How long below may take to be told of sliding reads.
const TOUCH_TIMEOUT: Duration = Duration::from_secs(2);
/// Most sliding reads that are told at once.
const TOUCH_BATCH: usize = 128;

/// The owner of the task: it starts with the first call, inside a runtime, and ends with the near cache.
pub(super) struct Follower {
    start: Mutex<Option<(InvalidationStream, Start)>>,
    task: std::sync::OnceLock<AbortHandle>,
}

/// What the task is started with.
pub(super) struct Start {
    pub(super) subscribe: Subscribe,
    pub(super) touches: mpsc::Receiver<Address>,
}

impl Follower {
    /// Subscribes at once, so that no change after this is missed.
    pub(super) fn new(start: Start) -> Self {
        let stream = (start.subscribe)();
        Self { start: Mutex::new(Some((stream, start))), task: std::sync::OnceLock::new() }
    }

    /// Starts the task if it does not run yet.
    pub(super) fn start<S: CacheService>(&self, copies: &Arc<Copies>, inner: &S) {
        if self.task.get().is_some() {
            return;
        }
        if let Some((stream, start)) = self.start.lock().take() {
            let task = tokio::spawn(follow(Arc::downgrade(copies), inner.clone(), stream, start));
            // The slot was taken under the lock, so nobody else sets it.
            let _ = self.task.set(task.abort_handle());
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

async fn follow<S: CacheService>(copies: Weak<Copies>, inner: S, mut stream: InvalidationStream, start: Start) {
    let Start { subscribe, mut touches } = start;
    loop {
        let next = {
            let touch = pin!(touches.recv());
            match select(stream.next(), touch).await {
                Either::Left((change, _)) => Either::Left(change),
                Either::Right((touch, _)) => Either::Right(touch),
            }
        };
        let Some(copies) = copies.upgrade() else { return };
        match next {
            Either::Left(Some(change)) => copies.apply(change),
            Either::Left(None) => {
                copies.apply(Invalidation::Lost);
                copies.clock.sleep_until(copies.clock.now().after(RESUBSCRIBE)).await;
                stream = subscribe();
                copies.apply(Invalidation::Gap);
            }
            Either::Right(Some(first)) => {
                let batch = collect(first, &mut touches);
                // Beside, so that a slow store does not delay the changes.
                tokio::spawn(tell(copies, inner.clone(), batch));
            }
            Either::Right(None) => return,
        }
    }
}

/// Takes what else waits, each address once.
fn collect(first: Address, touches: &mut mpsc::Receiver<Address>) -> Vec<Address> {
    let mut batch = vec![first];
    while batch.len() < TOUCH_BATCH {
        match touches.try_recv() {
            Ok(address) if !batch.contains(&address) => batch.push(address),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    batch
}

/// Tells below of sliding reads; a copy whose original is gone, or that could not be told, goes.
async fn tell<S: CacheService>(copies: Arc<Copies>, inner: S, batch: Vec<Address>) {
    let slide = |address: &Address| TouchItem { address: address.clone(), kind: TouchKind::Slide };
    let deadline = Some(copies.clock.now().after(TOUCH_TIMEOUT));
    let items: OneOrMany<_> = batch.iter().map(slide).collect();
    let touch = Touch { items, scope: Scope { deadline, ..Scope::default() } };
    let told = until(&copies.clock, deadline, oneshot(inner, Request::Touch(touch))).await;
    let live = match told {
        Some(Ok(Response::Touched(live))) if live.len() == batch.len() => live,
        _ => batch.iter().map(|_| Ok(false)).collect(),
    };
    for (address, live) in batch.iter().zip(live) {
        if !matches!(live, Ok(true)) {
            copies.drop_copy(address);
        }
    }
}
