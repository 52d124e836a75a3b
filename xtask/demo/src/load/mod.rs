//! Asks the service over HTTP, as its callers would.

mod client;
mod demand;
mod invalidation;
mod measured;
mod neighbours;
mod paced;
mod stampede;
mod unknown;
mod writer;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use indicatif::{HumanCount, ProgressBar};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use self::measured::Tally;
pub(crate) use self::{
    client::{Answer, Connection},
    demand::Demand,
    invalidation::{Invalidated, invalidate},
    measured::{Measured, percentile},
    neighbours::{Group, Limits, Neighbours, Phase, neighbours},
    paced::{Pace, RATE, Seen},
    stampede::{Stampeded, stampede},
    unknown::{Unknown, unknown},
    writer::{Writes, write},
};
use crate::{database::Route, place::Place};

/// Between two looks at the progress bar.
const TICK: Duration = Duration::from_millis(100);

/// Who asks for what, for how long.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) demand: Arc<Demand>,
    pub(crate) clients: u16,
    pub(crate) time: Duration,
}

impl Load {
    /// Puts the service under load by one of the two ways. The sequence of products is the same for both.
    pub(crate) async fn run(&self, route: Route, bar: &ProgressBar) -> Result<Measured> {
        let requests = Arc::new(AtomicU64::new(0));
        let connections = self.connect().await?;
        let (started, mut clients) = (Instant::now(), JoinSet::new());
        for (number, connection) in connections.into_iter().enumerate() {
            let (demand, requests) = (Arc::clone(&self.demand), Arc::clone(&requests));
            let end = started + self.time;
            clients.spawn(async move { client(connection, &demand, number as u64, route, end, &requests).await });
        }
        let mut tally = Tally::default();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                ended = clients.join_next() => match ended {
                    Some(ended) => tally.add(ended.context("a client panicked")?),
                    None => break,
                },
                _ = ticks.tick() => show(bar, started.elapsed(), requests.load(Relaxed)),
            }
        }
        Ok(tally.measured(started.elapsed()))
    }

    /// Opens a connection for each client.
    async fn connect(&self) -> Result<Vec<Connection>> {
        let mut connections = Vec::with_capacity(usize::from(self.clients));
        for number in 1..=self.clients {
            let about = || format!("connection {number} of {} could not be opened", self.clients);
            connections.push(Connection::open(self.address).await.with_context(about)?);
        }
        Ok(connections)
    }
}

/// Asks for one product after the other, each as soon as the last has come.
async fn client(
    mut connection: Connection,
    demand: &Demand,
    number: u64,
    route: Route,
    end: Instant,
    requests: &AtomicU64,
) -> Tally {
    let (mut tally, mut ranks) = (Tally::default(), demand.ranks(number));
    loop {
        let started = Instant::now();
        if started >= end {
            return tally;
        }
        let rank = ranks.draw();
        let place = demand.place(rank);
        let answer = connection.get(place.shop, &path(route, place)).await.and_then(|answer| answer.of(place));
        tally.note(rank, started.elapsed(), answer);
        requests.fetch_add(1, Relaxed);
    }
}

fn path(route: Route, place: Place) -> String {
    match route {
        Route::Cached => place.path(),
        Route::Uncached => format!("/uncached{}", place.path()),
    }
}

fn show(bar: &ProgressBar, elapsed: Duration, requests: u64) {
    let rate = requests as f64 / elapsed.as_secs_f64().max(f64::EPSILON);
    bar.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
    bar.set_message(format!("{} requests/s", HumanCount(rate as u64)));
}
