//! The source of truth: a SQLite file of shops and their products.
//!
//! Reads go through a few connections, writes through one, as SQLite has it. Every query for a single product is noted
//! in the [`Ledger`]: what the cache saves is what is not in there.

mod ledger;
mod outage;
mod pool;
mod rows;
mod schema;

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use indicatif::ProgressBar;

pub(crate) use self::{
    ledger::{Ledger, Queries, Route},
    outage::{Outage, Reach},
    pool::SourceError,
    schema::Size,
};
use self::{pool::Pool, rows::Written};
use crate::{
    catalogue::{Category, Draft, Line, Product, Sort},
    place::{Place, Shop},
    shutdown::Shutdown,
};

/// The database of the service.
#[derive(Debug)]
pub(crate) struct Database {
    size: Size,
    readers: Pool,
    writer: Pool,
    ledger: Ledger,
    /// How long a query of a product is under way.
    distance: Duration,
    outage: Outage,
}

impl Database {
    /// Opens a file of this size, which is made and filled first if it is missing.
    pub(crate) fn open(path: &Path, size: Size, bar: &ProgressBar, shutdown: &Shutdown) -> Result<Self> {
        let writer = schema::prepare(path, size, bar, shutdown)?;
        let readers = std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 8));
        let readers = (0..readers).map(|_| schema::reader(path)).collect::<Result<_, _>>()?;
        let (readers, writer) = (Pool::new(readers), Pool::new(vec![writer]));
        Ok(Self {
            size,
            readers,
            writer,
            ledger: Ledger::default(),
            distance: Duration::ZERO,
            outage: Outage::default(),
        })
    }

    /// Moves the database away: the file is local, but most databases are not.
    pub(crate) fn with_distance(self, distance: Duration) -> Self {
        Self { distance, ..self }
    }

    pub(crate) fn size(&self) -> Size {
        self.size
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Returns what cuts the database off.
    pub(crate) fn outage(&self) -> &Outage {
        &self.outage
    }

    /// Reads one product.
    pub(crate) async fn product(&self, place: Place, route: Route) -> Result<Option<Product>, SourceError> {
        self.ledger.note(route, place);
        self.outage.pass().await?;
        if !self.distance.is_zero() {
            tokio::time::sleep(self.distance).await;
        }
        self.readers.run(move |connection| rows::product(connection, place)).await
    }

    /// Reads the head of a category's list.
    pub(crate) async fn list(&self, shop: Shop, category: Category, sort: Sort) -> Result<Vec<Line>, SourceError> {
        self.outage.pass().await?;
        self.readers.run(move |connection| rows::list(connection, shop, category, sort)).await
    }

    /// Replaces a product; `None` if there is none.
    pub(crate) async fn update(&self, place: Place, draft: Draft) -> Result<Option<Written>, SourceError> {
        self.outage.pass().await?;
        self.writer.run(move |connection| rows::update(connection, place, draft, now())).await
    }

    /// Changes all prices of a category by so many percent, and returns how many.
    pub(crate) async fn reprice(&self, shop: Shop, category: Category, percent: i32) -> Result<usize, SourceError> {
        self.outage.pass().await?;
        self.writer.run(move |connection| rows::reprice(connection, shop, category, percent, now())).await
    }

    /// Reads and writes a little, to see that both still work.
    pub(crate) async fn ping(&self) -> Result<(), SourceError> {
        self.outage.pass().await?;
        self.readers.run(|connection| rows::ping(connection)).await?;
        self.writer.run(rows::lock).await
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
