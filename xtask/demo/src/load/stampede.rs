//! Everybody asks for the same product at once, and nobody has it.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::{sync::Barrier, task::JoinSet};

use super::Load;
use crate::place::Place;

/// Requests of a stampede, spread over the connections.
const REQUESTS: usize = 1000;

/// What came of a stampede.
#[derive(Debug)]
pub(crate) struct Stampeded {
    pub(crate) requests: u64,
    pub(crate) connections: u64,
    /// Requests that were not answered with the product.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<anyhow::Error>,
    /// Requests that were there before the product was, and waited for it.
    pub(crate) waited: u64,
    pub(crate) place: Place,
}

/// Sends a thousand requests for one cold product at the same moment.
pub(crate) async fn stampede(load: &Load, place: Place) -> Result<Stampeded> {
    let connections = load.connect().await?;
    let count = connections.len();
    let (start, mut clients) = (Arc::new(Barrier::new(count)), JoinSet::new());
    for (number, mut connection) in connections.into_iter().enumerate() {
        // The first ones take what does not divide evenly.
        let times = REQUESTS / count + usize::from(number < REQUESTS % count);
        let start = Arc::clone(&start);
        clients.spawn(async move {
            start.wait().await;
            (times, connection.get_times(place.shop, &place.path(), times).await)
        });
    }
    let (requests, connections) = (REQUESTS as u64, count as u64);
    let mut seen = Stampeded { requests, connections, errors: 0, first_error: None, waited: 0, place };
    while let Some(client) = clients.join_next().await {
        let (times, answers) = client.context("a client panicked")?;
        match answers {
            Ok(answers) => {
                for answer in answers {
                    seen.waited += u64::from(answer.cache == "miss");
                    seen.note(1, answer.of(place).map(drop));
                }
            }
            Err(error) => seen.note(times as u64, Err(error)),
        }
    }
    Ok(seen)
}

impl Stampeded {
    fn note(&mut self, requests: u64, result: Result<()>) {
        if let Err(error) = result {
            self.errors += requests;
            self.first_error.get_or_insert(error);
        }
    }
}
