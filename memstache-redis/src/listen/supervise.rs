//! One follower for each primary, whichever these are.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::future::{Either, select};
use memstache_core::Invalidation;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use super::{
    Context, Purpose,
    follow::{News, follow},
    lines::Lines,
};

/// How often it is looked who is primary.
const LOOK: Duration = Duration::from_millis(200);

/// What a supervisor works for. When it goes, by whatever end, nobody listens any more: that is told.
pub(super) struct Duty {
    pub(super) context: Arc<Context>,
    pub(super) purpose: fn(&Context) -> &Purpose,
}

impl Drop for Duty {
    fn drop(&mut self) {
        let purpose = (self.purpose)(&self.context);
        purpose.up.store(false, Relaxed);
        if purpose.changes {
            self.context.hub.lost();
        }
        self.context.waiters.wake_all();
    }
}

/// Keeps followers at all primaries; ends only by being aborted, and they with it.
pub(super) async fn supervise(duty: Duty) {
    let (context, purpose) = (&duty.context, duty.purpose);
    let (news, mut heard) = mpsc::channel::<News>(1);
    let (mut lines, mut followers) = (Lines::default(), HashMap::<Arc<str>, AbortHandle>::new());
    // Dropped with this future, which ends the followers.
    let mut tasks = JoinSet::new();
    loop {
        let topology = context.client.topology();
        let is_primary = |name: &Arc<str>| topology.nodes.iter().any(|node| node.name == *name);
        let gone = followers.iter().filter(|(name, task)| task.is_finished() || !is_primary(name));
        for name in gone.map(|(name, _)| Arc::clone(name)).collect::<Vec<_>>() {
            followers.remove(&name).inspect(AbortHandle::abort);
            apply(context, purpose(context), &lines_of(&mut lines, |lines| lines.removed(&name)));
        }
        for node in &topology.nodes {
            if !followers.contains_key(&node.name) {
                apply(context, purpose(context), &lines_of(&mut lines, |lines| lines.added(&node.name)));
                let task = follow(Arc::clone(context), purpose, Arc::clone(&node.name), news.clone());
                followers.insert(Arc::clone(&node.name), tasks.spawn(task));
            }
        }
        // Followers that were aborted, or failed.
        while tasks.try_join_next().is_some() {}
        let look = context.clock.sleep_until(context.clock.now().after(LOOK));
        let told = match select(Box::pin(heard.recv()), look).await {
            Either::Left((told, _)) => told,
            Either::Right(_) => None,
        };
        if let Some(News { node, up }) = told.filter(|told| followers.contains_key(&told.node)) {
            let change = lines_of(&mut lines, |lines| if up { lines.up(&node) } else { lines.down(&node) });
            apply(context, purpose(context), &change);
        }
    }
}

/// What changed about the lines, and whether they are all up now.
struct Changed {
    change: Option<Invalidation>,
    up: bool,
}

fn lines_of(lines: &mut Lines, change: impl FnOnce(&mut Lines) -> Option<Invalidation>) -> Changed {
    let change = change(lines);
    Changed { change, up: lines.is_up() }
}

fn apply(context: &Context, purpose: &Purpose, changed: &Changed) {
    if let Some(change) = changed.change.clone().filter(|_| purpose.changes) {
        context.hub.tell(change);
    }
    purpose.up.store(changed.up, Relaxed);
    if changed.change.is_some() {
        // What ended while nobody heard was not told.
        context.waiters.wake_all();
    }
}
