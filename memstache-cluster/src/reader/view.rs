//! Who is there and who owns what, as this node sees it at a moment; and how far what it gained is its own.

use std::{fmt, sync::Arc, time::Duration};

use memstache_core::{Clock, Tick};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    engine::UnderWay,
    member::{Member, Members, NodeId},
    placement::{Change, PARTITIONS, Partition, Table, partition_of},
};

/// Takings of one view that can be told apart; there is one for each previous owner of what was gained within the window.
const MOST_TAKINGS: usize = u8::MAX as usize;
const SETTLED: u8 = u8::MAX;

/// Who is there and who owns what, as this node sees it at a moment.
pub(crate) struct View {
    /// Counts the views of this node.
    pub(crate) number: u64,
    pub(crate) members: Members,
    pub(crate) table: Table,
    me: NodeId,
    /// For each partition of this node's, under which taking it came.
    taken: Box<[u8; PARTITIONS]>,
    takings: Vec<Arc<Taking>>,
    /// Writes of this node's own that began by this view.
    pub(crate) writes: UnderWay,
    /// The view before it, until its writes have ended.
    older: Mutex<Option<Arc<Self>>>,
}

/// How far a stored key is this node's own.
pub(crate) enum Held {
    /// It is another's.
    NotMine,
    /// It is this node's.
    Mine,
    /// It is this node's since not long ago, from a previous owner.
    Taken(Arc<Taking>),
}

/// Partitions that came from one previous owner by one change.
pub(crate) struct Taking {
    /// Whose they were; nobody's, if it is gone.
    pub(crate) from: Option<Member>,
    /// Until when the previous owner is asked for what it held.
    pub(crate) until: Tick,
    /// Whether this node answers for them yet.
    confirmed: watch::Sender<bool>,
    /// Whether the previous owner is not to be asked any more.
    closed: watch::Sender<bool>,
}

impl Taking {
    fn new(from: Option<Member>, until: Tick) -> Arc<Self> {
        Arc::new(Self { from, until, confirmed: watch::Sender::new(false), closed: watch::Sender::new(false) })
    }

    /// Returns whether this node answers for what it took.
    pub(crate) fn is_confirmed(&self) -> bool {
        *self.confirmed.borrow()
    }

    /// Waits until this node answers for what it took.
    pub(crate) async fn confirmed(&self) {
        // Its sender is here: it cannot be gone.
        let _ = self.confirmed.subscribe().wait_for(|confirmed| *confirmed).await;
    }

    pub(crate) fn confirm(&self) {
        self.confirmed.send_replace(true);
    }

    /// Asks the previous owner for nothing any more: what it holds may be outdated.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Returns the previous owner while it is to be asked for what it held.
    pub(crate) fn source(&self, now: Tick) -> Option<&Member> {
        self.from.as_ref().filter(|_| now < self.until && !*self.closed.borrow())
    }
}

impl View {
    /// The view of a node that has heard of nobody yet.
    pub(crate) fn first(me: NodeId) -> Self {
        Self {
            number: 0,
            members: Members::default(),
            table: Table::default(),
            me,
            taken: Box::new([SETTLED; PARTITIONS]),
            takings: Vec::new(),
            writes: UnderWay::default(),
            older: Mutex::new(None),
        }
    }

    /// The view that follows this one; returns which of this node's partitions are new, and under which takings they came.
    pub(crate) fn follow(
        self: &Arc<Self>,
        members: Members,
        clock: &Arc<dyn Clock>,
        window: Duration,
    ) -> (Self, Vec<Arc<Taking>>) {
        let (me, now) = (self.me, clock.now());
        let table = Table::of(&members);
        let before = self.before(&members);
        let change = Change::between(&before, &table);
        let mut view = Self {
            number: self.number + 1,
            members,
            table,
            me,
            taken: Box::new([SETTLED; PARTITIONS]),
            takings: Vec::new(),
            writes: UnderWay::default(),
            older: Mutex::new(Some(Arc::clone(self))),
        };
        view.keep_takings(self, now);
        let mut new: Vec<(Option<NodeId>, u8)> = Vec::new();
        for moved in change.gained(me) {
            let known = new.iter().find(|(from, _)| *from == moved.from).map(|(_, at)| *at);
            let at = known.unwrap_or_else(|| {
                let member = moved.from.and_then(|from| view.members.get(from)).cloned();
                let at = view.add(Taking::new(member, now.after(window)));
                new.push((moved.from, at));
                at
            });
            view.taken[moved.partition.index()] = at;
        }
        let takings = new.into_iter().filter_map(|(_, at)| view.takings.get(usize::from(at)).cloned()).collect();
        (view, takings)
    }

    /// The table before the one of these members.
    ///
    /// A node that is new owned nothing: before it came, the others did.
    fn before(&self, members: &Members) -> Table {
        if self.table.nodes().iter().any(|(id, _)| *id == self.me) {
            return self.table.clone();
        }
        let others: Members = members.iter().filter(|member| member.id != self.me).cloned().collect();
        Table::of(&others)
    }

    /// Takes over what is still this node's and not settled yet.
    fn keep_takings(&mut self, old: &Self, now: Tick) {
        for partition in Partition::all().filter(|partition| old.taken[partition.index()] != SETTLED) {
            let taking = &old.takings[usize::from(old.taken[partition.index()])];
            let open = !taking.is_confirmed() || taking.source(now).is_some();
            if !open || !self.table.owns(self.me, partition) || !old.table.owns(self.me, partition) {
                continue;
            }
            let known = self.takings.iter().position(|known| Arc::ptr_eq(known, taking));
            let at = known.map_or_else(|| self.add(Arc::clone(taking)), |at| u8::try_from(at).unwrap_or(SETTLED));
            self.taken[partition.index()] = at;
        }
    }

    /// Adds a taking. Where there are too many, the last one stands for all that come.
    fn add(&mut self, taking: Arc<Taking>) -> u8 {
        if self.takings.len() < MOST_TAKINGS {
            self.takings.push(taking);
        }
        u8::try_from(self.takings.len() - 1).unwrap_or(SETTLED)
    }

    /// Says how far a stored key is this node's own.
    pub(crate) fn held(&self, stored: &[u8]) -> Held {
        let partition = partition_of(stored);
        if !self.table.owns(self.me, partition) {
            return Held::NotMine;
        }
        match self.taken[partition.index()] {
            SETTLED => Held::Mine,
            at => self.takings.get(usize::from(at)).map_or(Held::Mine, |taking| Held::Taken(Arc::clone(taking))),
        }
    }

    /// Returns whether a stored key is this node's own.
    pub(crate) fn owns(&self, stored: &[u8]) -> bool {
        self.table.owns(self.me, partition_of(stored))
    }

    /// Returns whether a stored key became this node's own when this view followed another.
    pub(crate) fn gained(&self, new: &[Arc<Taking>], stored: &[u8]) -> bool {
        match self.held(stored) {
            Held::Taken(taking) => new.iter().any(|new| Arc::ptr_eq(new, &taking)),
            Held::NotMine | Held::Mine => false,
        }
    }

    /// Waits until no write that began by an earlier view is under way.
    pub(crate) async fn settled(&self) {
        let mut next = self.older.lock().clone();
        while let Some(older) = next {
            older.writes.none().await;
            next = older.older.lock().clone();
        }
        *self.older.lock() = None;
    }

    /// Waits until this node answers for all that it took.
    #[cfg(test)]
    pub(crate) async fn all_confirmed(&self) {
        for taking in &self.takings {
            taking.confirmed().await;
        }
    }

    /// Returns the other members.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.id != self.me)
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("members", &self.members.len()).field("table", &self.table).finish_non_exhaustive()
    }
}
