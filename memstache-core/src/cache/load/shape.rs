//! The shapes of a read's answer.

use std::{
    any::{Any, TypeId},
    marker::PhantomData,
    sync::Arc,
};

use super::super::fetched::Fetched;
use crate::error::{Error, ErrorKind, Result};

/// The value; a key that the source does not have is an error.
#[derive(Debug)]
#[non_exhaustive]
pub struct Value;

/// The value, if the source has the key.
#[derive(Debug)]
#[non_exhaustive]
pub struct Optional;

/// The value with where it came from.
#[derive(Debug)]
#[non_exhaustive]
pub struct Entry;

/// Another shape, of an `Arc` of the value: one that may be kept decoded.
#[derive(Debug)]
#[non_exhaustive]
pub struct Shared<R>(PhantomData<fn() -> R>);

/// Gives a load's answer its shape; implemented by the types of [`shape`](self).
pub trait Shape<T>: Send + 'static {
    /// What is answered of a value: itself, or a share in it.
    type Value;
    /// The answer.
    type Output;
    /// Whether the answer says where a value came from and how old it is.
    const TOLD: bool;

    /// Takes a value that was decoded or loaded for this answer.
    fn take(value: T) -> Self::Value;

    /// Returns the type of what can be kept decoded. Default: nothing can.
    fn kept() -> Option<TypeId> {
        None
    }

    /// Returns a share of the value to keep.
    fn share(value: &Self::Value) -> Option<Arc<dyn Any + Send + Sync>> {
        let _ = value;
        None
    }

    /// Takes what was kept, if it is of the right type.
    fn held(kept: Arc<dyn Any + Send + Sync>) -> Option<Self::Value> {
        let _ = kept;
        None
    }

    /// Shapes it.
    fn shape(fetched: Fetched<Self::Value>) -> Result<Self::Output>;
}

impl<T> Shape<T> for Value {
    type Value = T;
    type Output = T;
    const TOLD: bool = false;

    fn take(value: T) -> T {
        value
    }

    fn shape(fetched: Fetched<T>) -> Result<T> {
        fetched.value.ok_or_else(|| Error::new(ErrorKind::NotFound, "the source has no such key"))
    }
}

impl<T> Shape<T> for Optional {
    type Value = T;
    type Output = Option<T>;
    const TOLD: bool = false;

    fn take(value: T) -> T {
        value
    }

    fn shape(fetched: Fetched<T>) -> Result<Option<T>> {
        Ok(fetched.value)
    }
}

impl<T> Shape<T> for Entry {
    type Value = T;
    type Output = Fetched<T>;
    const TOLD: bool = true;

    fn take(value: T) -> T {
        value
    }

    fn shape(fetched: Fetched<T>) -> Result<Fetched<T>> {
        Ok(fetched)
    }
}

impl<T, R> Shape<T> for Shared<R>
where
    T: Send + Sync + 'static,
    R: Shape<Arc<T>, Value = Arc<T>>,
{
    type Value = Arc<T>;
    type Output = R::Output;
    const TOLD: bool = R::TOLD;

    fn take(value: T) -> Arc<T> {
        Arc::new(value)
    }

    fn kept() -> Option<TypeId> {
        Some(TypeId::of::<T>())
    }

    fn share(value: &Arc<T>) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(Arc::clone(value) as _)
    }

    #[inline]
    fn held(kept: Arc<dyn Any + Send + Sync>) -> Option<Arc<T>> {
        kept.downcast().ok()
    }

    fn shape(fetched: Fetched<Arc<T>>) -> Result<R::Output> {
        R::shape(fetched)
    }
}
