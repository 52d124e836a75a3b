//! Who is there and who owns what, as this node sees it at a moment; and how far what it gained is its own.

use std::{
    collections::HashSet,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    time::Duration,
};

use memstache_core::{Clock, Tick};
use parking_lot::Mutex;
use tokio::sync::watch;
use xxhash_rust::xxh3::Xxh3;

use super::{lost, tables::Tables};
use crate::{
    engine::UnderWay,
    member::{Member, MemberState, Members, NodeId},
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
    /// Equal for equal lists of active members and their lives; see [`epoch`].
    pub(crate) epoch: u64,
    /// The epoch with this node as an owner, if it drains and somebody asked.
    before_draining: OnceLock<u64>,
    me: NodeId,
    /// For each partition of this node's, under which taking it came.
    taken: Box<[u8; PARTITIONS]>,
    takings: Vec<Arc<Taking>>,
    /// For each partition of this node's, by which view it came, or came anew.
    since: Box<[u64; PARTITIONS]>,
    /// How often the node had been out of touch when it was made.
    pub(super) lapses: u64,
    /// Whether all that was held before it was let go of.
    is_void: bool,
    /// The last view that began with nothing of what this node owns, up to this one.
    empty: u64,
    /// Whether what is held is being let go of, by the time that another view follows.
    lets_go: AtomicBool,
    /// Writes of this node's own that began by this view.
    pub(crate) writes: UnderWay,
    /// The view before it, until its writes have ended.
    older: Mutex<Option<Arc<Self>>>,
    /// By which tables members may still keep copies.
    left: Mutex<Left>,
}

/// Tables of earlier views that some members may not have left yet.
#[derive(Default)]
struct Left {
    tables: Tables,
    /// The members that see what this node sees now.
    agreed: HashSet<NodeId>,
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
    /// Whether there was a previous owner, and it is gone.
    pub(crate) was_lost: bool,
    /// Whether this node answers for them yet.
    confirmed: watch::Sender<bool>,
    /// Whether the previous owner is not to be asked any more.
    closed: watch::Sender<bool>,
}

impl Taking {
    fn new(from: Option<Member>, was_lost: bool, until: Tick) -> Arc<Self> {
        let (confirmed, closed) = (watch::Sender::new(false), watch::Sender::new(false));
        Arc::new(Self { from, until, was_lost, confirmed, closed })
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
            epoch: 0,
            before_draining: OnceLock::new(),
            me,
            taken: Box::new([SETTLED; PARTITIONS]),
            takings: Vec::new(),
            since: Box::new([0; PARTITIONS]),
            lapses: 0,
            is_void: true,
            empty: 0,
            lets_go: AtomicBool::new(false),
            writes: UnderWay::default(),
            older: Mutex::new(None),
            left: Mutex::default(),
        }
    }

    /// The view that follows this one; returns which of this node's partitions are new, and under which takings they came.
    ///
    /// Unless what it held is good, all that it owns is new.
    pub(super) fn follow(
        self: &Arc<Self>,
        members: Members,
        clock: &Arc<dyn Clock>,
        window: Duration,
        held: lost::Held,
    ) -> (Self, Vec<Arc<Taking>>) {
        let (me, now) = (self.me, clock.now());
        let table = Table::of(&members);
        let before = self.before(&members, held);
        let change = Change::between(&before, &table);
        let mut view = Self {
            epoch: epoch(&table, &members),
            before_draining: OnceLock::new(),
            number: self.number + 1,
            members,
            table,
            me,
            taken: Box::new([SETTLED; PARTITIONS]),
            takings: Vec::new(),
            since: Box::new([self.number + 1; PARTITIONS]),
            lapses: self.lapses,
            is_void: held.is_void(),
            empty: if held == lost::Held::Good { self.empty } else { self.number + 1 },
            lets_go: AtomicBool::new(false),
            writes: UnderWay::default(),
            older: Mutex::new(Some(Arc::clone(self))),
            left: Mutex::new(Left { tables: self.tables(), agreed: HashSet::new() }),
        };
        if held == lost::Held::Good {
            view.keep_takings(self, now);
            for partition in Partition::all().filter(|one| self.table.owns(me, *one) && view.table.owns(me, *one)) {
                view.since[partition.index()] = self.since[partition.index()];
            }
        }
        let mut new: Vec<(Option<NodeId>, u8)> = Vec::new();
        for moved in change.gained(me) {
            let known = new.iter().find(|(from, _)| *from == moved.from).map(|(_, at)| *at);
            let at = known.unwrap_or_else(|| {
                let member = moved.from.and_then(|from| view.members.get(from)).cloned();
                let was_lost = moved.from.is_some() && member.is_none();
                let at = view.add(Taking::new(member, was_lost, now.after(window)));
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
    /// A node that is new owned nothing: before it came, the others did. So it is with one that came back: the others took it for
    /// dead, and wrote what it owned. After a split, nobody did.
    fn before(&self, members: &Members, held: lost::Held) -> Table {
        match held {
            lost::Held::Good if self.table.nodes().iter().any(|(id, _)| *id == self.me) => return self.table.clone(),
            lost::Held::Good | lost::Held::Missed => {}
            lost::Held::Split | lost::Held::Void => return Table::default(),
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

    /// Adds a taking. Where there are too many, the last one stands for all that come, and nobody is asked for them.
    fn add(&mut self, taking: Arc<Taking>) -> u8 {
        if self.takings.len() < MOST_TAKINGS {
            self.takings.push(taking);
        } else if let Some(last) = self.takings.last() {
            last.close();
        }
        u8::try_from(self.takings.len() - 1).unwrap_or(SETTLED)
    }

    /// Returns whether an epoch is that of these members; also of who does not know yet that this node drains.
    pub(crate) fn is_of(&self, epoch: u64) -> bool {
        epoch == self.epoch || self.before_draining().is_some_and(|before| epoch == before)
    }

    /// Returns the epoch as long as this node, which drains, was an owner.
    fn before_draining(&self) -> Option<u64> {
        let drains = |member: &&Member| member.state == MemberState::Draining;
        self.members.get(self.me).filter(drains)?;
        Some(*self.before_draining.get_or_init(|| {
            let active = |member: &Member| match member.id == self.me {
                true => member.clone().with_state(MemberState::Active),
                false => member.clone(),
            };
            let members: Members = self.members.iter().map(active).collect();
            epoch(&Table::of(&members), &members)
        }))
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

    /// Returns whether a stored key has been this node's own all the time since an earlier view.
    pub(crate) fn owns_since(&self, earlier: &Self, stored: &[u8]) -> bool {
        self.owns(stored) && self.since[partition_of(stored).index()] <= earlier.number
    }

    /// Returns whether a stored key became this node's own when this view followed another.
    pub(crate) fn gained(&self, new: &[Arc<Taking>], stored: &[u8]) -> bool {
        match self.held(stored) {
            Held::Taken(taking) => new.iter().any(|new| Arc::ptr_eq(new, &taking)),
            Held::NotMine | Held::Mine => false,
        }
    }

    /// By which tables members may go after this view, as long as they do not agree to the next.
    pub(super) fn tables(&self) -> Tables {
        let mut tables = self.left.lock().tables.clone();
        tables.push(self.table.clone());
        tables
    }

    /// Asks previous owners for nothing any more: what they hold may be outdated.
    pub(super) fn close_takings(&self) {
        self.takings.iter().for_each(|taking| taking.close());
    }

    /// Says that what is held is let go of from now on.
    pub(super) fn let_go(&self) {
        self.lets_go.store(true, Release);
    }

    /// Returns whether what was written by an earlier view, or this one, has not been let go of.
    pub(crate) fn keeps_since(&self, earlier: &Self) -> bool {
        self.empty <= earlier.number && !self.lets_go.load(Acquire)
    }

    /// Returns whether this node holds nothing from before this view, and answers for nothing yet.
    pub(super) fn answers_for_nothing(&self) -> bool {
        self.is_void && self.takings.iter().all(|taking| !taking.is_confirmed())
    }

    /// Takes note that a member sees what this node sees.
    pub(crate) fn agreed(&self, member: NodeId) {
        let mut left = self.left.lock();
        left.agreed.insert(member);
        if self.others().all(|member| left.agreed.contains(&member.id)) {
            left.tables = Tables::default();
        }
    }

    /// Adds the members that may keep copies of a partition by an earlier view.
    pub(crate) fn left_behind(&self, partition: Partition, replicas: usize, keepers: &mut Vec<NodeId>) {
        let left = self.left.lock();
        if left.tables.is_empty() {
            return;
        }
        let any = || self.others().map(|member| member.id).collect();
        for id in left.tables.keepers(partition, replicas).unwrap_or_else(any) {
            let may = id != self.me && !left.agreed.contains(&id) && self.members.contains(id);
            if may && !keepers.contains(&id) {
                keepers.push(id);
            }
        }
    }

    /// Returns whether this node was a member all the time since an earlier view, in one life.
    pub(crate) fn lives_on_from(&self, old: &Self) -> bool {
        let life = |view: &Self| view.members.get(self.me).map(Member::life);
        life(self).is_some() && life(self) == life(old)
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

    /// Returns the other members that own keys.
    pub(crate) fn other_owners(&self) -> impl Iterator<Item = &Member> {
        self.members.active().filter(|member| member.id != self.me)
    }

    /// Returns how many members own keys, at least one.
    pub(crate) fn live(&self) -> u32 {
        u32::try_from(self.table.nodes().len().max(1)).unwrap_or(u32::MAX)
    }

    /// Returns the other members.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.id != self.me)
    }
}

/// By what nodes tell whether they see the same: who owns what, and which life of each owner that is.
///
/// One that was taken for dead and came back owns what it owned, and has missed what was written meanwhile: what it agreed with
/// before is not what the others see now.
fn epoch(table: &Table, members: &Members) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&table.epoch().to_le_bytes());
    for member in members.active() {
        hash.update(&member.id.0.to_le_bytes());
        hash.update(&member.incarnation.0.to_le_bytes());
        hash.update(&member.revision.to_le_bytes());
    }
    hash.digest()
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("members", &self.members.len()).field("table", &self.table).finish_non_exhaustive()
    }
}
