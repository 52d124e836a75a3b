//! How the parts of an address become the key that a store keeps.

use std::{fmt, sync::Arc};

use super::Parts;
use crate::error::Result;

/// Names entries in stores: plainly, or blind so that a store's operator learns nothing from its keys.
///
/// A namer is a pure function: equal parts give equal keys, different parts different ones.
pub trait Namer: fmt::Debug + Send + Sync + 'static {
    /// Returns the stored key; `None` for the plain `tenant:keyspace:name`.
    ///
    /// Errors: whatever keeps the namer from making it, such as [`Unavailable`](crate::ErrorKind::Unavailable) while it
    /// has no key. The call fails then: a removal under another name would remove nothing.
    fn stored(&self, parts: &Parts<'_>) -> Result<Option<Arc<[u8]>>>;
}

/// Stores entries under `tenant:keyspace:name`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct PlainNamer;

impl Namer for PlainNamer {
    fn stored(&self, _: &Parts<'_>) -> Result<Option<Arc<[u8]>>> {
        Ok(None)
    }
}

impl<N: Namer + ?Sized> Namer for Arc<N> {
    fn stored(&self, parts: &Parts<'_>) -> Result<Option<Arc<[u8]>>> {
        N::stored(self, parts)
    }
}
