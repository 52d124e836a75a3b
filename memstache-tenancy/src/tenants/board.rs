//! Metrics of bounded number: the tenants with the most traffic, and all others together.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use memstache_core::{
    Error, Result, TenantId,
    observe::{MAX_TENANTS, OTHER_TENANTS, SHARED_SPACE, TenantUse},
};

use super::{
    account::{Account, Counts, Holds},
    accounts::Accounts,
};

/// How many tenants are named by [`TenantMetrics::named`].
pub const DEFAULT_NAMED: usize = 20;

/// How often it is judged anew who is named.
const TERM: Duration = Duration::from_secs(10);
/// Traffic counts half as much after this.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// Who is to be named instead of another one must have so many times its traffic: series do not flap.
const MARGIN: f32 = 1.5;
/// Longest name in metrics, in bytes.
const MAX_NAME: usize = 64;

type NameOf = dyn Fn(&TenantId) -> String + Send + Sync;

/// What [`Tenants::publish`](crate::Tenants::publish) tells of tenants.
///
/// Who a service's tenants are is nobody's business who may see its metrics, unless you say so: [`totals`](Self::totals),
/// the default, names none.
#[derive(Clone)]
#[must_use = "nothing is told before `Tenants::publish`"]
pub struct TenantMetrics {
    limit: usize,
    name_of: Option<Arc<NameOf>>,
}

impl Default for TenantMetrics {
    fn default() -> Self {
        Self::totals()
    }
}

impl TenantMetrics {
    /// Tells one series of each instrument, for all tenants and the shared space together.
    pub const fn totals() -> Self {
        Self { limit: 0, name_of: None }
    }

    /// Names the [`DEFAULT_NAMED`] tenants with the most traffic, and tells all others together.
    pub const fn named() -> Self {
        Self { limit: DEFAULT_NAMED, name_of: None }
    }

    /// Names so many: at most [`MAX_TENANTS`].
    pub const fn with_limit(mut self, tenants: usize) -> Self {
        self.limit = tenants;
        self
    }

    /// Names tenants otherwise than by their ids: by a pseudonym, or a group that several share. Cut off after 64 bytes.
    pub fn naming(mut self, name_of: impl Fn(&TenantId) -> String + Send + Sync + 'static) -> Self {
        self.name_of = Some(Arc::new(name_of));
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        let limit = || Error::invalid("the number of named tenants", format_args!("at most {MAX_TENANTS}"), self.limit);
        if self.limit <= MAX_TENANTS { Ok(()) } else { Err(limit()) }
    }

    fn name(&self, account: &Account) -> Arc<str> {
        let Some(tenant) = account.tenant() else { return SHARED_SPACE.into() };
        let Some(name_of) = &self.name_of else { return tenant.as_str().into() };
        let name = name_of(tenant);
        let fits = |(at, letter): &(usize, char)| at + letter.len_utf8() <= MAX_NAME;
        name.char_indices().take_while(fits).map(|(_, letter)| letter).collect::<String>().into()
    }
}

impl fmt::Debug for TenantMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantMetrics").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Who is named, and what the others have been told to have used.
#[derive(Debug, Default)]
pub(super) struct Board {
    metrics: TenantMetrics,
    named: Vec<Named>,
    /// What was told under names that are not told any more.
    told: Counts,
    /// What was last told of the others: it never shrinks.
    others: Counts,
    /// What was told under names that others still have, of those who are not named any more.
    carried: BTreeMap<Arc<str>, Counts>,
    judged: Option<Duration>,
}

/// A tenant that is named.
#[derive(Debug)]
struct Named {
    account: Arc<Account>,
    name: Arc<str>,
    /// What it had counted when it was named: that is the others'.
    before: Counts,
    now: Counts,
    holds: Holds,
    traffic: f32,
}

impl Named {
    fn told(&self) -> Counts {
        self.now.less(self.before)
    }
}

impl Board {
    /// Begins anew.
    pub(super) fn set(&mut self, metrics: TenantMetrics) {
        for named in self.named.drain(..) {
            self.told = self.told.plus(named.told());
        }
        self.carried.clear();
        (self.metrics, self.judged) = (metrics, None);
    }

    /// Tells what all have used: the named ones, then the others.
    pub(super) fn tell(&mut self, accounts: &Accounts, now: Duration) -> Vec<TenantUse> {
        let term = self.judged.map(|judged| now.saturating_sub(judged));
        let judges = self.metrics.limit > 0 && term.is_none_or(|term| term >= TERM);
        let fades_to = term.map_or(0.0, |term| (-term.as_secs_f32() / HALF_LIFE.as_secs_f32()).exp2());
        let (mut others, mut holds, mut rivals) =
            (Counts::default(), Holds::default(), Rivals::new(self.metrics.limit));
        let gone = accounts.visit(|account| {
            let (counts, held) = (account.counts(), account.holds(now));
            let traffic = if judges { account.traffic(fades_to) } else { 0.0 };
            match self.named.iter_mut().find(|named| Arc::ptr_eq(&named.account, account)) {
                Some(named) => {
                    (named.now, named.holds) = (counts, held);
                    if judges {
                        named.traffic = traffic;
                    }
                    others = others.plus(named.before);
                }
                None => {
                    others = others.plus(counts);
                    holds = add(holds, held);
                    if judges {
                        rivals.offer(account, traffic, counts, held);
                    }
                }
            }
        });
        if judges {
            self.judged = Some(now);
            rivals.strongest_first().for_each(|rival| self.name(rival, &mut others, &mut holds));
        }
        self.others = self.others.at_least(others.plus(gone).less(self.told));
        self.uses(holds)
    }

    /// Names a rival, if there is room or somebody with far less traffic.
    fn name(&mut self, rival: Rival, others: &mut Counts, holds: &mut Holds) {
        if self.named.len() == self.metrics.limit {
            let weakest =
                (0..self.named.len()).min_by(|a, b| self.named[*a].traffic.total_cmp(&self.named[*b].traffic));
            let Some(weakest) = weakest.filter(|at| rival.traffic > self.named[*at].traffic * MARGIN) else { return };
            let goes = self.named.swap_remove(weakest);
            self.told = self.told.plus(goes.told());
            let told = self.carried.get(&goes.name).copied().unwrap_or_default().plus(goes.told());
            self.carried.insert(Arc::clone(&goes.name), told);
            *others = others.plus(goes.told());
            *holds = add(*holds, goes.holds);
        }
        let Rival { account, traffic, counts, held } = rival;
        let name = self.metrics.name(&account);
        *holds = Holds {
            bytes: holds.bytes.saturating_sub(held.bytes),
            entries: holds.entries.saturating_sub(held.entries),
            loads: holds.loads.saturating_sub(held.loads),
        };
        self.named.push(Named { account, name, before: counts, now: counts, holds: held, traffic });
        // A name that nobody has any more is not told.
        self.carried.retain(|name, _| self.named.iter().any(|named| named.name == *name));
    }

    fn uses(&self, holds: Holds) -> Vec<TenantUse> {
        let mut uses = BTreeMap::new();
        let named = self.named.iter().map(|named| (Arc::clone(&named.name), named.told(), named.holds));
        let carried = self.carried.iter().map(|(name, counts)| (Arc::clone(name), *counts, Holds::default()));
        for (name, counts, holds) in named.chain(carried).chain([(OTHER_TENANTS.into(), self.others, holds)]) {
            let (all, held): &mut (Counts, Holds) = uses.entry(name).or_default();
            (*all, *held) = (all.plus(counts), add(*held, holds));
        }
        let told = |(name, (counts, holds)): (Arc<str>, (Counts, Holds))| TenantUse {
            name,
            operations: counts.operations(),
            refused: counts.refused(),
            bytes: holds.bytes,
            entries: holds.entries,
            loads: holds.loads,
        };
        uses.into_iter().map(told).collect()
    }
}

fn add(one: Holds, other: Holds) -> Holds {
    Holds { bytes: one.bytes + other.bytes, entries: one.entries + other.entries, loads: one.loads + other.loads }
}

/// Who may be named instead of others: those with the most traffic, as many as can be named.
struct Rivals {
    most: usize,
    strongest: Vec<Rival>,
}

struct Rival {
    account: Arc<Account>,
    traffic: f32,
    counts: Counts,
    held: Holds,
}

impl Rivals {
    const fn new(most: usize) -> Self {
        Self { most, strongest: Vec::new() }
    }

    fn offer(&mut self, account: &Arc<Account>, traffic: f32, counts: Counts, held: Holds) {
        if traffic <= 0.0 {
            return;
        }
        // Weakest last.
        let at = self.strongest.partition_point(|rival| rival.traffic >= traffic);
        if at < self.most {
            self.strongest.truncate(self.most - 1);
            self.strongest.insert(at, Rival { account: Arc::clone(account), traffic, counts, held });
        }
    }

    fn strongest_first(self) -> impl Iterator<Item = Rival> {
        self.strongest.into_iter()
    }
}
