//! A closed loop of tasks over one client.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use fastrand::Rng;
use tokio::runtime::Runtime;

use super::{
    cells::{Load, What},
    clients::Client,
};
use crate::{
    closed_loop::{self, Round, Work},
    keys::Keys,
    zipf::Zipf,
};

/// Keys that are read and written.
pub(super) const KEYS: u32 = 1_000;
/// Keys of one batch.
pub(super) const BATCH: usize = 100;
const EXPONENT: f64 = 0.99;
/// A [`Client`] of whatever type.
pub(crate) trait Runner {
    /// Writes all keys.
    fn fill(&self, runtime: &Runtime, size: usize) -> Result<()>;
    fn round(&self, runtime: &Runtime, load: Load, span: Duration, seed: u64) -> Result<Round>;
}

/// A client with keys of its own.
pub(super) struct Race<C> {
    client: C,
    keys: Arc<Vec<String>>,
}

impl<C: Client> Race<C> {
    /// The name keeps its keys from those of others.
    pub(super) fn over(client: C, name: &str) -> Box<dyn Runner> {
        let texts = Keys::new(Keys::LONG, KEYS as usize);
        let keys = (0..KEYS).map(|key| format!("{name}:{}", texts.text(key))).collect();
        Box::new(Self { client, keys: Arc::new(keys) })
    }
}

impl<C: Client> Runner for Race<C> {
    fn fill(&self, runtime: &Runtime, size: usize) -> Result<()> {
        let value = value(size);
        runtime.block_on(async {
            self.client.prepare(&batch(&self.keys, 0), &value).await?;
            for key in self.keys.iter() {
                self.client.set(key, &value).await?;
            }
            Ok(())
        })
    }

    fn round(&self, runtime: &Runtime, load: Load, span: Duration, seed: u64) -> Result<Round> {
        let value: Arc<str> = value(load.size).into();
        runtime.block_on(async {
            self.client.prepare(&batch(&self.keys, 0), &value).await?;
            let work = |number| Reader {
                client: self.client.clone(),
                keys: Arc::clone(&self.keys),
                value: Arc::clone(&value),
                what: load.what,
                rng: Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(number)),
                zipf: Zipf::new(KEYS, EXPONENT),
            };
            closed_loop::round(load.tasks, span, work).await
        })
    }
}

/// A batch of keys, from this one on.
fn batch(keys: &[String], first: usize) -> Vec<&str> {
    (first..first + BATCH).map(|at| keys[at % keys.len()].as_str()).collect()
}

/// Text that compresses about as well as a record does.
pub(super) fn value(size: usize) -> String {
    let mut rng = Rng::with_seed(7);
    let words = ["name", "price", "stock", "green tea", "EUR", "available"];
    let mut text = String::with_capacity(size + 16);
    while text.len() < size {
        text.push_str(words[rng.usize(..words.len())]);
        text.push_str(&format!(":{:x};", rng.u32(..)));
    }
    text.truncate(size);
    text
}

/// One task of a load.
struct Reader<C> {
    client: C,
    keys: Arc<Vec<String>>,
    value: Arc<str>,
    what: What,
    rng: Rng,
    zipf: Zipf,
}

impl<C: Client> Work for Reader<C> {
    async fn once(&mut self) -> Result<()> {
        let Self { client, keys, value, what, rng, zipf } = self;
        match what {
            What::Get => client.get(&keys[rng.usize(..keys.len())]).await.map(drop),
            What::Zipf => {
                client.get(&keys[zipf.draw(rng) as usize]).await?;
                // Near hits never wait by themselves: others must have their turn.
                tokio::task::consume_budget().await;
                Ok(())
            }
            What::Set => client.set(&keys[rng.usize(..keys.len())], value).await,
            What::GetMany => client.get_many(&batch(keys, rng.usize(..keys.len()))).await.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Mutex};

    use anyhow::Context as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Map(Arc<Mutex<HashMap<String, usize>>>);

    impl Client for Map {
        async fn get(&self, key: &str) -> Result<usize> {
            tokio::task::yield_now().await;
            self.0.lock().unwrap().get(key).copied().context("a key is missing")
        }

        async fn set(&self, key: &str, value: &str) -> Result<()> {
            tokio::task::yield_now().await;
            self.0.lock().unwrap().insert(key.to_owned(), value.len());
            Ok(())
        }

        async fn get_many(&self, keys: &[&str]) -> Result<usize> {
            let mut sum = 0;
            for key in keys {
                sum += self.get(key).await?;
            }
            Ok(sum)
        }
    }

    #[test]
    fn every_load_is_driven() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let map = Map::default();
        let race = Race::over(map.clone(), "map");
        let round = |what| race.round(&runtime, Load { what, size: 256, tasks: 3 }, Duration::from_millis(10), 1);
        assert!(round(What::Get).unwrap_err().to_string().contains("missing"), "nothing is there yet");
        race.fill(&runtime, 256).unwrap();
        assert_eq!(map.0.lock().unwrap().len(), KEYS as usize);
        for what in [What::Get, What::Set, What::GetMany, What::Zipf] {
            let round = round(what).unwrap();
            assert!(round.kops > 0.0 && round.p50 <= round.p99, "{what:?}: {round:?}");
        }
    }

    #[test]
    fn values_have_the_size_that_is_asked_for() {
        assert_eq!((value(256).len(), value(4_096).len()), (256, 4_096));
        assert_eq!(value(256), value(256));
    }
}
