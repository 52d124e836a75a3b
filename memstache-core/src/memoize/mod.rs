//! Memoizing any tower service: equal requests are answered from a cache.
//!
//! [`MemoizeLayer`] goes around the user's own `Service<Req>`. What is cached, under which key and for how long is said
//! by closures, or by a [`Memo`]; for HTTP services there is one ready (`HttpMemo`, feature `http`).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), memstache_core::BoxError> {
//! use memstache_core::{Cache, Json, MemoryStore, Stack, memoize::MemoizeLayer};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! let stack = Stack::over(MemoryStore::builder().build()?).build();
//! let cache = Cache::builder(stack).keyspace("lengths").format(Json).build()?;
//!
//! let slow = service_fn(|word: String| async move { Ok::<_, std::io::Error>(word.len()) });
//! let fast = MemoizeLayer::new(cache.clone(), |word: &String| word.clone()).layer(slow);
//!
//! assert_eq!(fast.clone().oneshot("tea".to_owned()).await?, 3);
//! assert_eq!(fast.clone().oneshot("tea".to_owned()).await?, 3);
//! assert_eq!(cache.stats().loads, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # What a caller may rely on
//!
//! | case | what happens |
//! | --- | --- |
//! | fresh value, near or in the store | it is the answer; the inner service is neither called nor asked if it is ready |
//! | nothing cached | the inner service is called once, however many ask; it is a task of its own, with the cache's load timeout, and its value is stored |
//! | the response is not to be cached ([`Kept::Pass`]) | the caller whose request ran gets it as it is; who waited for it calls the inner service with his own request |
//! | the response is a failure ([`Kept::Failed`]) | the same; but a stale value, if there is one, is the answer, and the service has a pause |
//! | the inner service fails | every waiter gets an error of kind [`Load`](crate::ErrorKind::Load), the inner error in it; nothing is cached |
//! | the inner service panics | every waiter gets an error of kind [`LoadPanicked`](crate::ErrorKind::LoadPanicked); the next caller tries again |
//! | a caller is dropped | the others get the value, and it is stored |
//! | no key, one that is empty or over [`MAX_NAME`](crate::MAX_NAME) bytes, or no cache for it | the request is passed by: the inner service is called in the caller's task, nothing is cached |
//! | the store is down | the inner service is called, still once for all who wait, and nothing is stored |
//!
//! A caller who calls for himself, or is passed by, gets the panic of his own call as he would without the layer.
//!
//! The inner error is found again by [`Error::find_source`](crate::Error::find_source). Waiters of a response that is
//! not cached have waited in vain: with [`negative_ttl`](crate::CacheBuilder::negative_ttl) the cache remembers for
//! that long that a key's response is not for it, and callers no longer wait for one another.
//!
//! # Order
//!
//! Right: what limits or times the inner service is inside, so that hits are free of it; who the caller is, is settled
//! outside.
//!
//! ```text
//! authenticate( memoize( timeout( limit( service ))))
//! ```
//!
//! Wrong: `limit( memoize( service ))` makes hits wait for a permit, and `memoize( authenticate( service ))` answers
//! from the cache whoever asks, unless the key says who that is.

mod cache_for;
mod future;
#[cfg(feature = "http")]
mod http;
mod key;
mod keyed;
mod layer;
mod memo;
mod recall;
mod service;

#[cfg(feature = "http")]
pub use self::http::{HttpMemo, MemoBody, StoredResponse};
pub use self::{
    cache_for::{ByRequest, ByTenant, CacheFor},
    future::MemoizeFuture,
    key::MemoKey,
    keyed::Keyed,
    layer::MemoizeLayer,
    memo::{Kept, Memo, Recalled},
    service::Memoize,
};
