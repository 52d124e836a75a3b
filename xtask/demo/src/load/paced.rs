//! A load at a steady pace, which does not slow down by itself when answers are late.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::{
    task::JoinSet,
    time::{self, interval_at},
};

use super::{Connection, Load, client::Answer};
use crate::{place::Place, zipf::Zipf};

/// Connections: enough that those who wait for a hanging database do not hold up the others.
const CONNECTIONS: u32 = 64;

/// Requests a second, of all connections.
pub(crate) const RATE: u32 = 500;

/// Of so many requests, one is for a product that nobody has asked for yet.
const NEW_EACH: usize = 20;

/// Products that are asked for again and again, at most.
const MOST_KNOWN: usize = 100;

/// What has been seen since the last look.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: u64,
    pub(crate) hits: u64,
    pub(crate) stale: u64,
    /// Requests for products that nobody had asked for.
    pub(crate) new: u64,
    pub(crate) errors: u64,
    /// Of the errors, those for products that were asked for before.
    pub(crate) errors_of_known: u64,
    /// The longest that an answer took.
    pub(crate) slowest: Duration,
}

impl Seen {
    fn note(&mut self, new: bool, latency: Duration, answer: &Result<Answer>) {
        self.requests += 1;
        self.new += u64::from(new);
        self.slowest = self.slowest.max(latency);
        match answer {
            Ok(answer) => {
                self.hits += u64::from(answer.cache == "hit");
                self.stale += u64::from(answer.cache == "stale");
            }
            Err(_) => {
                self.errors += 1;
                self.errors_of_known += u64::from(!new);
            }
        }
    }
}

/// The load, running; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Pace {
    asked: Arc<Asked>,
    clients: JoinSet<()>,
}

/// What all connections share.
#[derive(Debug)]
struct Asked {
    load: Load,
    /// How uneven the demand for the known products is.
    zipf: Zipf,
    known: usize,
    next_new: AtomicUsize,
    seen: Mutex<Seen>,
}

impl Pace {
    /// Asks once for each product that is going to be known, then starts to ask for all.
    pub(crate) async fn start(load: &Load, exponent: f64) -> Result<Self> {
        let known = MOST_KNOWN.min(load.demand.ranks_in_all() / 2);
        let mut first = Connection::open(load.address).await?;
        for rank in 0..known {
            let place = load.demand.place(rank);
            first.product(place).await.context("a product could not be had before the chaos")?;
        }
        let (zipf, next_new) = (Zipf::new(known, exponent), AtomicUsize::new(known));
        let asked = Arc::new(Asked { load: load.clone(), zipf, known, next_new, seen: Mutex::default() });
        let (mut clients, start) = (JoinSet::new(), time::Instant::now());
        for number in 0..CONNECTIONS {
            let connection = Connection::open(load.address).await?;
            let first = start + Duration::from_secs(1) * number / RATE;
            clients.spawn(Arc::clone(&asked).client(connection, number, first));
        }
        Ok(Self { asked, clients })
    }

    /// Returns how many products are asked for again and again.
    pub(crate) fn known(&self) -> usize {
        self.asked.known
    }

    /// Takes what was seen since the last time.
    pub(crate) fn take(&self) -> Seen {
        mem::take(&mut self.asked.seen())
    }

    /// Ends the load; requests that are under way are not waited for.
    pub(crate) async fn end(mut self) {
        self.clients.shutdown().await;
    }
}

impl Asked {
    async fn client(self: Arc<Self>, mut connection: Connection, number: u32, first: time::Instant) {
        let mut turns = interval_at(first, Duration::from_secs(1) * CONNECTIONS / RATE);
        let mut rng = fastrand::Rng::with_seed(u64::from(number));
        loop {
            turns.tick().await;
            let (place, new) = self.draw(&mut rng);
            let started = Instant::now();
            let answer = connection.product(place).await;
            self.seen().note(new, started.elapsed(), &answer);
        }
    }

    /// Returns what is asked for next, and whether it is new.
    fn draw(&self, rng: &mut fastrand::Rng) -> (Place, bool) {
        let demand = &self.load.demand;
        if rng.usize(..NEW_EACH) > 0 {
            return (demand.place(self.zipf.rank(rng.f64())), false);
        }
        // Once all were asked for, from the start: what may have gone by then counts as new.
        let rest = demand.ranks_in_all() - self.known;
        let next = (self.next_new.fetch_add(1, Relaxed) - self.known) % rest;
        (demand.place(self.known + next), true)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::{database::Size, load::Demand};

    #[test]
    fn answers_are_told_apart() {
        let answer =
            |cache: &str| Ok(Answer { status: 200, cache: cache.to_owned(), retry_after: None, body: Vec::new() });
        let (mut seen, millis) = (Seen::default(), Duration::from_millis);
        seen.note(false, millis(1), &answer("hit"));
        seen.note(false, millis(9), &answer("stale"));
        seen.note(true, millis(2), &answer("miss"));
        seen.note(true, millis(3), &Err(anyhow!("503")));
        seen.note(false, millis(4), &Err(anyhow!("503")));
        assert_eq!((seen.requests, seen.hits, seen.stale, seen.new), (5, 1, 1, 2));
        assert_eq!((seen.errors, seen.errors_of_known, seen.slowest), (2, 1, millis(9)));
    }

    #[test]
    fn one_in_twenty_is_new_and_the_others_are_known() {
        let demand = Arc::new(Demand::new(Size { shops: 2, products: 500, seed: 1 }, 1.0));
        let known: Vec<Place> = (0..100).map(|rank| demand.place(rank)).collect();
        let address = ([127, 0, 0, 1], 1).into();
        let load = Load { address, demand, clients: 1, time: Duration::ZERO };
        let (zipf, next_new) = (Zipf::new(100, 1.0), AtomicUsize::new(100));
        let asked = Asked { load, zipf, known: 100, next_new, seen: Mutex::default() };
        let mut rng = fastrand::Rng::with_seed(1);
        let draws: Vec<_> = (0..50_000).map(|_| asked.draw(&mut rng)).collect();
        assert!(draws.iter().all(|(place, new)| known.contains(place) != *new));
        let new = draws.iter().filter(|(_, new)| *new).count();
        assert!((2_200..2_800).contains(&new), "{new}: more than there are, so it began again");
    }
}
