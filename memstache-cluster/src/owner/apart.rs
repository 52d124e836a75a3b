//! Asking the source for a key that another node owns.

use bytes::Bytes;
use memstache_core::{Error, ErrorKind, Result, Tick};

use super::{fetch, local::Local};
use crate::{engine::until, keyspace::Key};

impl Local {
    /// Loads a key and keeps nothing; one load at a time for each key.
    ///
    /// Nobody is answered with a load that began before they asked: its owner may have removed the key since, and nobody tells
    /// this node. Who comes while one runs waits for it to end, and shares the next one with all others who waited.
    ///
    /// # Cancellation
    /// A load that was begun goes on for the others who wait.
    pub(crate) async fn load_apart(&self, key: Key, deadline: Tick) -> Result<Option<Bytes>> {
        let earlier = self.loads.as_ref().and_then(|loads| loads.apart.join(&key));
        if let Some(earlier) = earlier {
            until(&self.clock, deadline, earlier).await;
        }
        self.join_or_load(key, deadline).await
    }

    /// Loads a key, or joins a load of it, whenever that began.
    pub(super) async fn join_or_load(&self, key: Key, deadline: Tick) -> Result<Option<Bytes>> {
        let Some(loads) = &self.loads else {
            return Err(Error::new(ErrorKind::Unsupported, "the keyspace has no source to fall back to"));
        };
        if loads.apart.len() >= self.spec.0.max_loads && loads.apart.join(&key).is_none() {
            return Err(Error::new(ErrorKind::Overloaded, "as many keys are being loaded as there may be"));
        }
        let (guard, breaker, clock) = (loads.guard.clone(), loads.breaker.clone(), self.clock.clone());
        let limit = clock.now().after(self.spec.0.load_timeout);
        let asked = key.clone();
        let flight = loads.apart.run(key, move || async move {
            let ask = async {
                let asked = until(&clock, limit, guard.ask(asked)).await;
                asked.unwrap_or_else(|| Err(fetch::deadline_exceeded()))
            };
            match breaker {
                Some(breaker) => breaker.run(ask).await,
                None => ask.await,
            }
        });
        let loaded = until(&self.clock, deadline, flight).await;
        loaded.unwrap_or_else(|| Err(fetch::deadline_exceeded())).and_then(|loaded| loaded).map_err(fetch::told)
    }
}
