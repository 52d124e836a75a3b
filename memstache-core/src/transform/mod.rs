//! Pure rewrites of requests and responses, and the one service that runs them.
//!
//! Compression and sealing are [`Transform`]s: they change entries on their way down and back on their way up, and do
//! not care what is above or below.
//!
//! Right: a transform that must see plain values outside one that hides them.
//!
//! ```text
//! compress( seal( store ) )     a sealed value does not compress any more
//! ```
//!
//! Wrong: `seal( compress( store ) )` stores every value at its full length.

mod explain;
mod future;
mod layer;
mod service;

use std::fmt;

pub use self::{future::TransformFuture, layer::TransformLayer, service::Transformed};
use crate::{
    clock::BoxFuture,
    error::Result,
    health::{Health, PartHealth},
    request::{Request, Response},
};

/// A pure rewrite of requests on the way down and of responses on the way up.
///
/// Who compresses or seals on the way down says so in `content.encoding` and `content.sealed`, heeds the entry's
/// `options`, and undoes on the way up only what `content` says, setting it back. It neither waits nor talks to anything
/// unless it answers [`Step::Wait`]. Items of a batch may fail one by one: put
/// the error in the item's place. A value that cannot be opened is [`Error::rejected`](crate::Error::rejected).
///
/// An [`Explain`](crate::Explain) never reaches it: what it is answered with is given to the transform as the answer to a
/// [`Get`](crate::Get) of the same keys, to find out whether it can be opened.
///
/// ```
/// use memstache_core::{Request, Response, Result, Step, Transform, TransformLayer};
///
/// /// Reverses the bytes of every value.
/// #[derive(Clone, Debug)]
/// struct Reverse;
///
/// impl Transform for Reverse {
///     type Pending = ();
///
///     fn request(&self, mut request: Request) -> Step<(Request, ())> {
///         for (_, entry) in request.entries_mut() {
///             entry.value = entry.value.iter().rev().copied().collect();
///         }
///         Step::Now(Ok((request, ())))
///     }
///
///     fn response(&self, (): (), mut response: Response) -> Step<Response> {
///         for entry in response.entries_mut() {
///             entry.value = entry.value.iter().rev().copied().collect();
///         }
///         Step::Now(Ok(response))
///     }
/// }
///
/// let layer = TransformLayer::new(Reverse);
/// # let _ = layer;
/// ```
pub trait Transform: Clone + Send + Sync + 'static {
    /// What [`response`](Self::response) must remember of the request, such as the addresses asked for.
    type Pending: Send + 'static;

    /// Rewrites a request.
    fn request(&self, request: Request) -> Step<(Request, Self::Pending)>;

    /// Rewrites the answer to it.
    fn response(&self, pending: Self::Pending, response: Response) -> Step<Response>;

    /// Says how the transform is, if it has anything that may be out of order, such as a source of keys. Default: it has
    /// not.
    fn health(&self) -> Option<PartHealth> {
        None
    }
}

/// A transform among the parts of a stack that are asked how they are.
pub(crate) struct TransformPart<T>(pub(crate) T);

impl<T: Transform> Health for TransformPart<T> {
    fn health(&self) -> PartHealth {
        self.0.health().unwrap_or_else(|| PartHealth::healthy("transform"))
    }
}

/// What a [`Transform`] does with what it was given.
#[non_exhaustive]
pub enum Step<T> {
    /// Done, without an allocation; or the whole call fails.
    Now(Result<T>),
    /// Work off the async threads, or a key that must be fetched first.
    Wait(BoxFuture<'static, Result<T>>),
    /// The answer, without going further down.
    Answer(Response),
}

impl<T: fmt::Debug> fmt::Debug for Step<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(result) => f.debug_tuple("Now").field(result).finish(),
            Self::Wait(_) => f.write_str("Wait"),
            Self::Answer(response) => f.debug_tuple("Answer").field(response).finish(),
        }
    }
}
