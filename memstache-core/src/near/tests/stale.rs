//! What a store answers stale.

use super::*;
use crate::{Get, Lookup, Meta, Request, Response, Store as _};

/// A leaf that answers one entry, stale, or cannot be reached.
#[derive(Clone, Default)]
struct Says(Arc<Mutex<Option<Entry>>>);

impl Coherence for Says {
    fn subscribe(&self) -> InvalidationStream {
        InvalidationStream::new(stream::pending())
    }
}

impl tower_service::Service<Request> for Says {
    type Response = Response;
    type Error = Error;
    type Future = crate::BoxFuture<'static, Result<Response>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        let said = self.0.lock().clone().ok_or_else(|| Error::new(crate::ErrorKind::Unavailable, "cut off"));
        Box::pin(async { Ok(Response::Found(crate::OneOrMany::One(Ok(Lookup::Stale(said?, None))))) })
    }
}

#[tokio::test]
async fn a_copy_gives_way_to_what_the_store_serves_longer_or_with_another_value() {
    let clock = ManualClock::new();
    let (leaf, old) = (Says::default(), store(&clock));
    let address =
        crate::Address::plain(&crate::Space::new(None, &crate::KeyspaceName::new("k").unwrap()), "a").unwrap();
    let lifetime =
        crate::Lifetime::new(Duration::from_secs(1)).unwrap().with_stale_for(Duration::from_secs(9)).unwrap();
    old.set(crate::Set::one(address.clone(), crate::NewEntry::new("old", lifetime))).await.unwrap();
    clock.advance(Duration::from_secs(2));
    let found = old.get(Get::one(address.clone())).await.unwrap().into_one().unwrap().unwrap();
    let Lookup::Stale(entry, _) = found else { panic!("{found:?}") };
    let stack = Stack::over(leaf.clone()).near(near(&clock)).build();
    let ask = async || match stack.clone().dispatch(Get::one(address.clone())).await {
        Ok(Response::Found(found)) => found.into_one().unwrap().map(|found| match found {
            Lookup::Stale(entry, _) => entry.value,
            other => panic!("{other:?}"),
        }),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    let longer = Meta { stale_for: Duration::from_secs(60), ..entry.meta.clone() };
    let shorter = Entry { value: "old".into(), meta: entry.meta.clone() };
    for said in [&entry, &Entry { value: "old".into(), meta: longer.clone() }, &shorter] {
        *leaf.0.lock() = Some(said.clone());
        assert_eq!(ask().await.unwrap(), "old");
    }
    *leaf.0.lock() = None;
    clock.advance(Duration::from_secs(20));
    assert_eq!(ask().await.unwrap(), "old", "as long as the store said last or before");
    // A store that was emptied counts versions anew.
    *leaf.0.lock() = Some(Entry { value: "new".into(), meta: longer });
    assert_eq!(ask().await.unwrap(), "new");
    *leaf.0.lock() = None;
    assert_eq!(ask().await.unwrap(), "new");
}
