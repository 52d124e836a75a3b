//! What changes anywhere, told to the near caches of this node.
//!
//! One line to each other member: it is asked for its changes again and again, and answers when there are some. While a line is cut, and
//! while the members change, nobody knows what is missed: subscribers are told once that it is so, and that all that they hold is to go
//! when all lines stand.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{
    StreamExt as _,
    future::{Either, join_all, select},
    stream,
};
use memstache_core::{Invalidation, InvalidationStream, KeyspaceName};
use parking_lot::Mutex;
use tokio::sync::broadcast::{self, error::RecvError};

use super::Cluster;
use crate::{
    engine::{Node, Slot, until},
    member::NodeId,
    wire::{Answer, Call},
};

/// How long a member has to say that nothing has changed, before its line is taken for cut.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a line rests that is cut.
const AGAIN: Duration = Duration::from_millis(50);

/// The lines of a node, for each keyspace that has had a subscriber.
#[derive(Debug, Default)]
pub(crate) struct Feeds(Mutex<HashMap<KeyspaceName, Arc<Feed>>>);

/// What others change in one keyspace.
struct Feed {
    changes: broadcast::Sender<Invalidation>,
    lines: Mutex<Lines>,
}

#[derive(Clone, Copy, Debug)]
struct Lines {
    /// Of which view; none, while the members change.
    view: Option<u64>,
    cut: usize,
    /// All stand, and subscribers were told so.
    stand: bool,
}

impl Feeds {
    /// Takes all lines for cut: the members change.
    pub(crate) fn lose(&self) {
        self.0.lock().values().for_each(|feed| feed.lose());
    }
}

impl Feed {
    fn tell(&self, change: Invalidation) {
        // An error means that nobody listens.
        let _ = self.changes.send(change);
    }

    fn change(&self, change: impl FnOnce(&mut Lines)) {
        let mut lines = self.lines.lock();
        change(&mut lines);
        let stand = lines.view.is_some() && lines.cut == 0;
        if stand != lines.stand {
            lines.stand = stand;
            // Under the lock: who subscribes meanwhile sees it in one way.
            self.tell(if stand { Invalidation::Gap } else { Invalidation::Lost });
        }
    }

    fn lose(&self) {
        self.change(|lines| lines.view = None);
    }

    /// Begins with so many lines, all of them cut.
    fn begin(&self, view: u64, cut: usize) {
        self.lose();
        self.change(|lines| (lines.view, lines.cut) = (Some(view), cut));
    }

    /// Takes note that a line stands, or is cut.
    fn note(&self, view: u64, stands: bool) {
        self.change(|lines| {
            if lines.view == Some(view) {
                lines.cut = if stands { lines.cut.saturating_sub(1) } else { lines.cut + 1 };
            }
        });
    }
}

/// Subscribes to what changes in a keyspace on any node.
///
/// Tags and clears are told by this node's own store, to which their home tells them before it acknowledges them.
pub(crate) fn subscribe(node: &Arc<Node>, cluster: &Arc<Cluster>, slot: &Arc<Slot>) -> InvalidationStream {
    let feed = cluster.feeds.of(node, slot);
    let lines = feed.lines.lock();
    let (others, stand) = (feed.changes.subscribe(), lines.stand);
    drop(lines);
    let told = if stand { VecDeque::new() } else { VecDeque::from([Invalidation::Lost]) };
    let following = Following { own: slot.changes(), others, told, feed };
    InvalidationStream::new(stream::unfold(following, Following::next))
}

impl Feeds {
    /// Returns the feed of a keyspace, which runs from now on.
    fn of(&self, node: &Arc<Node>, slot: &Arc<Slot>) -> Arc<Feed> {
        let mut feeds = self.0.lock();
        let feed = feeds.entry(slot.name.clone()).or_insert_with(|| {
            // Half of what an owner keeps, and so much of this node's own beside.
            let capacity = slot.current().map_or(1, |local| (local.changes.capacity() / 2).max(1));
            let lines = Lines { view: None, cut: 0, stand: false };
            let feed = Arc::new(Feed { changes: broadcast::Sender::new(capacity), lines: Mutex::new(lines) });
            node.spawn(run(Arc::downgrade(node), Arc::clone(slot), Arc::clone(&feed)));
            feed
        });
        Arc::clone(feed)
    }
}

/// A subscriber.
struct Following {
    own: InvalidationStream,
    others: broadcast::Receiver<Invalidation>,
    told: VecDeque<Invalidation>,
    feed: Arc<Feed>,
}

impl Following {
    async fn next(mut self) -> Option<(Invalidation, Self)> {
        loop {
            if let Some(change) = self.told.pop_front() {
                return Some((change, self));
            }
            let others = std::pin::pin!(self.others.recv());
            let change = match select(self.own.next(), others).await {
                Either::Left((change, _)) => change?,
                Either::Right((Ok(change), _)) => change,
                Either::Right((Err(RecvError::Lagged(_)), _)) => Invalidation::Gap,
                Either::Right((Err(RecvError::Closed), _)) => return None,
            };
            // After a gap what is held is trusted again; not so while a line is cut.
            if change == Invalidation::Gap && !self.feed.lines.lock().stand {
                self.told.push_back(Invalidation::Lost);
            }
            self.told.push_front(change);
        }
    }
}

/// Keeps lines to all members, as long as the node runs.
async fn run(node: Weak<Node>, slot: Arc<Slot>, feed: Arc<Feed>) {
    loop {
        let Some(cluster) = node.upgrade().and_then(|node| node.cluster().cloned()) else { return };
        let view = cluster.view();
        let others: Vec<NodeId> = view.others().map(|member| member.id).collect();
        feed.begin(view.number, others.len());
        let lines = others.into_iter().map(|id| line(&cluster, &slot.name, id, &feed, view.number));
        let changes = std::pin::pin!(cluster.other_view(&view));
        // Lines end with their view.
        select(
            changes,
            std::pin::pin!(async {
                join_all(lines).await;
                std::future::pending::<()>().await;
            }),
        )
        .await;
    }
}

/// Asks a member for its changes, again and again.
async fn line(cluster: &Cluster, keyspace: &KeyspaceName, id: NodeId, feed: &Feed, number: u64) {
    let view = cluster.view();
    let Some(member) = view.members.get(id).filter(|_| view.number == number) else { return };
    let (mut known, mut stands) = (None, false);
    loop {
        let deadline = cluster.clock.now().after(PATIENCE);
        let (log, after) = known.unwrap_or((0, 0));
        let call = Call::Follow { keyspace: keyspace.clone(), log, after };
        let answer = until(&cluster.clock, deadline, cluster.call(member, call, deadline)).await;
        let rests = match answer {
            Some(Ok(Answer::Changes { log, after, items })) => {
                if stands && known != Some((log, after)) {
                    feed.note(number, false);
                    stands = false;
                }
                known = Some((log, after + items.len() as u64));
                items.into_iter().for_each(|address| feed.tell(Invalidation::Address(address)));
                false
            }
            // It holds nothing that could change; when it does, its log is another.
            Some(Ok(Answer::NoKeyspace)) => {
                known = Some((0, 0));
                true
            }
            _ => {
                if std::mem::take(&mut stands) {
                    feed.note(number, false);
                }
                cluster.clock.sleep_until(cluster.clock.now().after(AGAIN)).await;
                continue;
            }
        };
        if !std::mem::replace(&mut stands, true) {
            feed.note(number, true);
        }
        if rests {
            cluster.clock.sleep_until(cluster.clock.now().after(AGAIN)).await;
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("lines", &self.lines).finish_non_exhaustive()
    }
}
