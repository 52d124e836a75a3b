//! Sealing as a layer.

mod builder;
mod keys;
mod policy;
mod prepared;
mod read;
mod stats;
mod wall;
mod write;
mod writer;

use std::{fmt, sync::Arc};

use memstache_core::{Address, Error, ErrorKind, OneOrMany, Request, Response, Step, Transform};

pub use self::{builder::SealBuilder, stats::SealStats, writer::Subkeys};
use self::{policy::Spaces, prepared::Prepared, stats::Counters, wall::Wall, write::Failed, writer::Writer};
use crate::{
    backend::{Aead, Backend},
    key::DataKeys,
};

/// Encrypts and authenticates values on their way down, and opens them on their way up.
///
/// What is stored can be read only with the keys, and only where it was written: tenant, keyspace and name are
/// authenticated with it, and so are its format, schema, generation and deadline. A value that was changed, moved, put
/// there by somebody else or kept past its deadline does not open: it is
/// [`Rejected`](memstache_core::ErrorKind::Rejected), with one text for every reason, and a miss for a typed handle.
/// [`stats`](Self::stats) tell the reasons apart.
///
/// Every keyspace is sealed unless the builder says that it is plain. In a sealed keyspace nothing is read that is not
/// sealed, and nothing is written that asks not to be. In a plain one, values are sealed that ask for it
/// ([`encrypt`](memstache_core::SetBuilder::encrypt)); somebody who can write to the store can replace those by plain ones.
///
/// Right: below compression and above everything that stores or sends, as [`Stack`](memstache_core::Stack) puts it.
///
/// ```text
/// near( compress( seal( store ) ) )
/// ```
///
/// Wrong: `seal( compress( store ) )`: what is sealed does not compress. Wrong: `seal( near( store ) )` opens every hit.
/// Two seals, one above the other, refuse every write.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// use memstache_core::{Cache, Json, MemoryStore, Stack};
/// use memstache_crypto::{FixedKeys, Seal, Secret, SystemRandom};
///
/// let keys = FixedKeys::dangerous_one_for_all(Secret::random(&SystemRandom::new())?);
/// let seal = Seal::builder(keys).build()?;
/// let stack = Stack::over(MemoryStore::builder().build()?).seal(seal.clone()).build();
/// let notes = Cache::builder(stack).keyspace("notes").format(Json).build()?;
///
/// notes.set("tea", "hidden").await?;
/// assert_eq!(notes.get::<String>("tea").await?.as_deref(), Some("hidden"));
/// assert_eq!((seal.stats().sealed, seal.stats().opened), (1, 1));
/// # Ok(())
/// # }
/// ```
///
/// Other errors: [`Unavailable`](ErrorKind::Unavailable) for a write whose key cannot be had,
/// [`TooLarge`](ErrorKind::TooLarge) for one over the longest value, [`Invalid`](ErrorKind::Invalid) for one that asks not
/// to be sealed, each in its item's place; [`Unsupported`](ErrorKind::Unsupported) for an operation that this version does
/// not know.
///
/// # Cancellation
/// Nothing is held while a key is waited for; what waits for it is dropped with the call.
#[derive(Clone)]
pub struct Seal(Arc<Layer>);

/// What all clones of a layer share.
struct Layer {
    keys: Arc<dyn DataKeys>,
    settings: Settings,
    spaces: Spaces,
    writer: Writer,
    prepared: Prepared,
    wall: Wall,
    counters: Counters,
}

#[derive(Clone, Debug)]
struct Settings {
    backend: Backend,
    aead: Aead,
    committing: bool,
    padded: bool,
    generation: u32,
    /// In milliseconds.
    max_skew: u64,
    max_value: usize,
    /// The longest envelope that can have such a value.
    max_sealed: usize,
}

impl Seal {
    /// Starts building the layer over a source of keys.
    pub fn builder(keys: impl DataKeys) -> SealBuilder {
        SealBuilder::new(Arc::new(keys))
    }

    /// Returns what this layer and its clones have counted.
    pub fn stats(&self) -> SealStats {
        self.0.counters.snapshot()
    }
}

/// What is remembered of a request until it is answered: where each value that may come must belong.
#[derive(Debug)]
pub struct Pending(Asked);

#[derive(Debug)]
enum Asked {
    Get(OneOrMany<Address>),
    Set(Failed),
    /// The answer carries no value.
    NoValue,
}

impl Pending {
    fn set(failed: Failed) -> Self {
        Self(Asked::Set(failed))
    }
}

impl Transform for Seal {
    type Pending = Pending;

    #[inline]
    fn request(&self, mut request: Request) -> Step<(Request, Pending)> {
        // Calls and answers stay where they lie: they are some hundred bytes that are moved if they are handed on.
        let asked = match &mut request {
            Request::Get(get) => Asked::Get(get.items.map_ref(|item| item.address.clone())),
            Request::Set(set) => match write::seal(&self.0, set) {
                None => Asked::Set(Failed::new()),
                Some((failed, waits)) => return write::later(&self.0, request, failed, waits),
            },
            Request::Remove(_) | Request::Touch(_) | Request::Invalidate(_) => Asked::NoValue,
            // It may carry values that would go down bare.
            _ => return Step::Now(Err(Error::new(ErrorKind::Unsupported, "the seal does not know this operation"))),
        };
        Step::Now(Ok((request, Pending(asked))))
    }

    #[inline]
    fn response(&self, pending: Pending, mut response: Response) -> Step<Response> {
        match pending.0 {
            Asked::Get(asked) => match read::open(&self.0, &asked, &mut response) {
                Ok(None) => Step::Now(Ok(response)),
                Ok(Some(waits)) => read::later(&self.0, asked, response, waits),
                Err(error) => Step::Now(Err(error)),
            },
            Asked::Set(failed) => write::response(failed, response),
            Asked::NoValue => match response {
                Response::Removed(_) | Response::Touched(_) | Response::Invalidated(_) => Step::Now(Ok(response)),
                // Values that nobody asked for belong nowhere.
                _ => Step::Now(Err(foreign())),
            },
        }
    }
}

fn foreign() -> Error {
    Error::new(ErrorKind::Protocol, "the store answered something else")
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal")
            .field("settings", &self.0.settings)
            .field("subkeys", &self.0.writer)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
