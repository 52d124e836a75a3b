//! A product that does not exist is asked for again and again.

use anyhow::{Context as _, Result};

use super::{Load, client::Connection};
use crate::place::{Place, Shop};

/// A number that no product has: shops are smaller.
const ID: u32 = u32::MAX;

/// Times that it is asked for.
const TIMES: usize = 10;

/// What came of asking for it.
#[derive(Debug)]
pub(crate) struct Unknown {
    pub(crate) requests: u64,
    pub(crate) place: Place,
    /// Answers other than `404` of the right origin: the source first, then the record that there is none.
    pub(crate) wrong: u64,
}

/// Asks for a product that does not exist.
pub(crate) async fn unknown(load: &Load) -> Result<Unknown> {
    let place = Place { shop: Shop(1), id: ID };
    let mut connection = Connection::open(load.address).await.context("a connection could not be opened")?;
    let mut unknown = Unknown { requests: TIMES as u64, place, wrong: 0 };
    for time in 0..TIMES {
        let answer = connection.get(place.shop, &place.path()).await?;
        let expected = if time == 0 { "miss" } else { "negative" };
        unknown.wrong += u64::from(answer.status != 404 || answer.cache != expected);
    }
    Ok(unknown)
}
