//! The task that follows what changes below, and tells below what was read here.

use std::{
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
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
///
/// If it ends earlier, with its runtime or by a panic, copies are unverified from then on, and the next call starts it
/// again.
pub(super) struct Follower {
    subscribe: Subscribe,
    idle: Mutex<Option<Idle>>,
    running: AtomicBool,
    task: Mutex<Option<AbortHandle>>,
}

/// What the task works on, while there is none.
struct Idle {
    /// `None` if changes were missed.
    stream: Option<InvalidationStream>,
    touches: mpsc::Receiver<Address>,
}

impl Follower {
    /// Subscribes at once, so that no change after this is missed.
    pub(super) fn new(subscribe: Subscribe, touches: mpsc::Receiver<Address>) -> Self {
        let idle = Idle { stream: Some(subscribe()), touches };
        Self { subscribe, idle: Mutex::new(Some(idle)), running: AtomicBool::new(false), task: Mutex::new(None) }
    }

    /// Starts the task if it does not run.
    pub(super) fn start<S: CacheService>(self: &Arc<Self>, copies: &Arc<Copies>, inner: &S) {
        if self.running.load(Relaxed) {
            return;
        }
        let Some(idle) = self.idle.lock().take() else { return };
        self.running.store(true, Relaxed);
        let running = Running {
            follower: Arc::downgrade(self),
            copies: Arc::downgrade(copies),
            subscribe: Arc::clone(&self.subscribe),
            idle: Some(idle),
        };
        *self.task.lock() = Some(tokio::spawn(follow(running, inner.clone())).abort_handle());
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.get_mut().take().inspect(AbortHandle::abort);
    }
}

/// A task that follows, and what is to be done when it ends.
struct Running {
    follower: Weak<Follower>,
    copies: Weak<Copies>,
    subscribe: Subscribe,
    idle: Option<Idle>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // From here on changes are missed.
        if let Some(copies) = self.copies.upgrade() {
            copies.apply(Invalidation::Lost);
        }
        if let (Some(follower), Some(idle)) = (self.follower.upgrade(), self.idle.take()) {
            *follower.idle.lock() = Some(Idle { stream: None, ..idle });
            follower.running.store(false, Relaxed);
        }
    }
}

async fn follow<S: CacheService>(mut running: Running, inner: S) {
    let (copies, subscribe) = (running.copies.clone(), Arc::clone(&running.subscribe));
    let Some(Idle { stream, touches }) = &mut running.idle else { return };
    loop {
        let Some(changes) = stream else {
            *stream = Some(subscribe());
            let Some(copies) = copies.upgrade() else { return };
            copies.apply(Invalidation::Gap);
            continue;
        };
        let next = {
            let touch = pin!(touches.recv());
            match select(changes.next(), touch).await {
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
                *stream = None;
            }
            Either::Right(Some(first)) => {
                let batch = collect(first, touches);
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
