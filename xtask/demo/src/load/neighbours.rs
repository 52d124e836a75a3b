//! One shop asks for far more than its share, while the others ask as before: held to its plan, and by no plan.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use memstache_tenancy::{Plans, Tenants};
use tokio::{
    task::JoinSet,
    time::{Instant, interval_at},
};

use super::{
    Load, Measured,
    client::{Answer, Connection},
    measured::Tally,
};
use crate::{
    place::{Place, Shop},
    plans::SHARE,
};

/// How many times its share the noisy shop asks for.
const NOISE: u32 = 50;

/// Connections of the noise: of fewer, each would wait for its answers too long to keep the pace.
const NOISY_CONNECTIONS: u32 = 20;

/// Shops that take part, at most: all of them ask from this machine.
const MOST_SHOPS: u16 = 20;

/// Products that a shop's customers ask for again and again. The smallest shop has more.
const KNOWN: u32 = 10;

/// The first number that the noise asks for: no product has it, nor does another check ask for it.
const MISSING: u32 = 2_000_000_000;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Neighbours {
    pub(crate) noisy: Shop,
    pub(crate) before: Phase,
    pub(crate) noise: Phase,
    /// The same noise, and no plan that would hold it back.
    pub(crate) unlimited: Phase,
}

/// A time in which all shops ask.
#[derive(Debug, Default)]
pub(crate) struct Phase {
    /// All shops but the noisy one.
    pub(crate) others: Group,
    pub(crate) noisy: Group,
}

/// What one or several shops have seen.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) measured: Measured,
    /// Requests that were refused for the shop's plan.
    pub(crate) refused: u64,
    /// Refusals that did not say when to come back.
    pub(crate) unhinted: u64,
}

impl Group {
    /// Returns the part of the requests that the cache answered.
    pub(crate) fn hit_ratio(&self) -> f64 {
        self.measured.from_cache as f64 / self.measured.requests.max(1) as f64
    }
}

/// The plans that shops are held to, and those that hold back nobody.
#[derive(Debug)]
pub(crate) struct Limits<'a> {
    pub(crate) tenants: &'a Tenants,
    pub(crate) plans: Plans,
    pub(crate) none: Plans,
}

/// Has the shops ask at an even pace, then again while the last one asks for fifty times its share, with plans and without;
/// `None` for one shop alone. Leaves the shops with their plans.
pub(crate) async fn neighbours(
    load: &Load,
    shops: u16,
    time: Duration,
    limits: Limits<'_>,
) -> Result<Option<Neighbours>> {
    limits.tenants.reload(limits.plans.clone());
    if shops < 2 {
        return Ok(None);
    }
    let noisy = Shop(shops);
    let others: Vec<Shop> = (1..shops).take(usize::from(MOST_SHOPS) - 1).map(Shop).collect();
    warm(load, others.iter().copied().chain([noisy])).await?;
    let before = phase(load, &others, noisy, 1, time).await?;
    let noise = phase(load, &others, noisy, NOISE, time).await?;
    // Last, so that nothing of it is left when the others are judged.
    limits.tenants.reload(limits.none);
    let unlimited = phase(load, &others, noisy, NOISE, time).await;
    limits.tenants.reload(limits.plans);
    Ok(Some(Neighbours { noisy, before, noise, unlimited: unlimited? }))
}

/// Asks once for what is going to be asked for again, so that both times begin alike.
async fn warm(load: &Load, shops: impl Iterator<Item = Shop>) -> Result<()> {
    let mut clients = JoinSet::new();
    for shop in shops {
        let mut connection = Connection::open(load.address).await?;
        clients.spawn(async move {
            for id in 1..=KNOWN {
                connection.product(Place { shop, id }).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client.context("a client panicked")?.context("a product could not be had before the noise")?;
    }
    Ok(())
}

async fn phase(load: &Load, others: &[Shop], noisy: Shop, times: u32, time: Duration) -> Result<Phase> {
    let connections = if times > 1 { NOISY_CONNECTIONS } else { 1 };
    let mut callers = Vec::new();
    for (number, shop) in (1..).zip(others) {
        let wants = Wants::Known(fastrand::Rng::with_seed(number));
        callers.push((*shop, wants, Duration::from_secs(1) / SHARE));
    }
    for number in 0..connections {
        let wants = match times {
            1 => Wants::Known(fastrand::Rng::with_seed(0)),
            _ => Wants::Missing { next: MISSING + number, step: connections },
        };
        callers.push((noisy, wants, Duration::from_secs(1) * connections / (SHARE * times)));
    }
    let mut opened = Vec::with_capacity(callers.len());
    for caller in callers {
        opened.push((Connection::open(load.address).await?, caller));
    }
    let (start, count, mut clients) = (Instant::now(), opened.len() as u32, JoinSet::new());
    for (number, (connection, (shop, wants, pause))) in (0..).zip(opened) {
        // Not all at the same moment.
        let first = start + pause * number / count;
        let caller = Caller { connection, shop, wants, seen: Seen::default() };
        clients.spawn(caller.ask(first, pause, start + time));
    }
    let (mut quiet, mut loud) = (Seen::default(), Seen::default());
    while let Some(client) = clients.join_next().await {
        let (shop, seen) = client.context("a client panicked")?;
        if shop == noisy { &mut loud } else { &mut quiet }.add(seen);
    }
    let elapsed = start.elapsed();
    Ok(Phase { others: quiet.group(elapsed), noisy: loud.group(elapsed) })
}

/// One connection of a shop's customers.
struct Caller {
    connection: Connection,
    shop: Shop,
    wants: Wants,
    seen: Seen,
}

/// What is asked for.
enum Wants {
    /// Products that were asked for before.
    Known(fastrand::Rng),
    /// Numbers without a product, each once: what a crawler does, and the worst for a cache.
    Missing { next: u32, step: u32 },
}

impl Wants {
    fn next(&mut self) -> u32 {
        match self {
            Self::Known(rng) => rng.u32(1..=KNOWN),
            Self::Missing { next, step } => {
                let id = *next;
                *next = next.wrapping_add(*step);
                id
            }
        }
    }

    /// Makes sure that an answer is the right one; a refusal is.
    fn right(&self, answer: Answer, place: Place) -> Result<Answer> {
        match (self, answer.status) {
            (_, 429) | (Self::Missing { .. }, 404) => Ok(answer),
            (Self::Known(_), _) => answer.of(place),
            (Self::Missing { .. }, status) => bail!("{place} was asked for and status {status} answered"),
        }
    }
}

impl Caller {
    async fn ask(mut self, first: Instant, pause: Duration, end: Instant) -> (Shop, Seen) {
        let mut turns = interval_at(first, pause);
        loop {
            let due = turns.tick().await;
            if Instant::now() >= end {
                return (self.shop, self.seen);
            }
            let place = Place { shop: self.shop, id: self.wants.next() };
            let answer = self.connection.get(place.shop, &place.path()).await;
            let answer = answer.and_then(|answer| self.wants.right(answer, place));
            // Since it was due: who has to wait for the answer before waits for this one, too.
            self.seen.note(place.id, due.elapsed(), answer);
        }
    }
}

/// What connections have seen.
#[derive(Debug, Default)]
struct Seen {
    tally: Tally,
    refused: u64,
    unhinted: u64,
}

impl Seen {
    fn note(&mut self, id: u32, latency: Duration, answer: Result<Answer>) {
        if let Ok(Answer { status: 429, retry_after, .. }) = &answer {
            self.refused += 1;
            self.unhinted += u64::from(retry_after.is_none_or(|seconds| seconds == 0));
        }
        self.tally.note(id as usize, latency, answer);
    }

    fn add(&mut self, other: Self) {
        self.tally.add(other.tally);
        self.refused += other.refused;
        self.unhinted += other.unhinted;
    }

    fn group(self, elapsed: Duration) -> Group {
        Group { measured: self.tally.measured(elapsed), refused: self.refused, unhinted: self.unhinted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, cache: &str, retry_after: Option<u64>) -> Answer {
        Answer { status, cache: cache.to_owned(), retry_after, body: b"{\"id\":7,".to_vec() }
    }

    #[test]
    fn refusals_are_counted_and_are_no_hits() {
        let (mut one, mut two) = (Seen::default(), Seen::default());
        one.note(1, Duration::ZERO, Ok(answer(200, "hit", None)));
        one.note(2, Duration::ZERO, Ok(answer(429, "", Some(1))));
        two.note(3, Duration::ZERO, Ok(answer(429, "", None)));
        two.note(4, Duration::ZERO, Ok(answer(200, "stale", None)));
        one.add(two);
        let group = one.group(Duration::from_secs(1));
        assert_eq!((group.refused, group.unhinted, group.measured.requests), (2, 1, 4));
        assert!((group.hit_ratio() - 0.5).abs() < 1e-9);
        assert!(Group::default().hit_ratio().abs() < 1e-9);
    }

    #[test]
    fn only_what_was_wanted_is_right() {
        let place = Place { shop: Shop(1), id: 7 };
        let mut known = Wants::Known(fastrand::Rng::with_seed(1));
        let mut missing = Wants::Missing { next: MISSING, step: 20 };
        assert!((1..=KNOWN).contains(&known.next()));
        assert_eq!((missing.next(), missing.next()), (MISSING, MISSING + 20));
        for (status, of_known, of_missing) in
            [(200, true, false), (404, false, true), (429, true, true), (503, false, false)]
        {
            assert_eq!(known.right(answer(status, "", None), place).is_ok(), of_known, "{status}");
            assert_eq!(missing.right(answer(status, "", None), place).is_ok(), of_missing, "{status}");
        }
    }
}
