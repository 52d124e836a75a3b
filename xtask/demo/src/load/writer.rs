//! Changes products while they are read by everybody, and reads each change back.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{Load, client::Connection, demand::Ranks};
use crate::catalogue::{Line, Product};

/// Between two changes.
const PAUSE: Duration = Duration::from_millis(20);

/// The draws of the writer; no client has this number.
const WRITER: u64 = u64::MAX - 1;

/// What came of the changes.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// Changes that were made and read back.
    pub(crate) writes: u64,
    /// Reads after a change, of the product or its category's list, that did not show it.
    pub(crate) old_reads: u64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<anyhow::Error>,
    /// Products that were changed, by their rank.
    pub(crate) asked: HashSet<usize>,
}

/// Changes products in demand for as long as the load goes on.
pub(crate) async fn write(load: &Load) -> Result<Writes> {
    let (mut writes, end) = (Writes::default(), Instant::now() + load.time);
    let mut connection = Connection::open(load.address).await.context("the writer's connection could not be opened")?;
    let mut ranks = load.demand.ranks(WRITER);
    while Instant::now() < end {
        match change(load, &mut connection, &mut ranks, &mut writes).await {
            Ok(()) => writes.writes += 1,
            Err(error) => {
                writes.errors += 1;
                writes.first_error.get_or_insert(error);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(writes)
}

/// Reads a product, puts it back with another price and stock, and looks at what is answered right after.
async fn change(load: &Load, connection: &mut Connection, ranks: &mut Ranks<'_>, writes: &mut Writes) -> Result<()> {
    let rank = ranks.draw();
    let place = load.demand.place(rank);
    writes.asked.insert(rank);
    let mut draft = connection.product(place).await?.json::<Product>()?.draft;
    draft.price_cents = draft.price_cents % 99_999 + 1;
    draft.stock = (draft.stock + 1) % 1_000;
    let put = connection.send("PUT", place.shop, &place.path(), &serde_json::to_string(&draft)?).await?;
    let put: Product = put.of(place)?.json()?;

    let read: Product = connection.product(place).await?.json()?;
    let path = format!("/categories/{}", draft.category);
    let list: Vec<Line> = connection.get(place.shop, &path).await?.json()?;
    let listed = list.iter().any(|line| line.id == place.id && line.price_cents == draft.price_cents);
    writes.old_reads += u64::from(read != put || read.draft != draft) + u64::from(!listed);
    Ok(())
}
