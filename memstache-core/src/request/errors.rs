//! The errors in an answer, item by item, whatever was asked.

#[cfg(feature = "resilience")]
use super::OneOrMany;
use super::Response;
#[cfg(feature = "resilience")]
use crate::error::{Error, Result};

#[cfg(feature = "resilience")]
fn at<T>(items: &OneOrMany<Result<T>>, place: usize) -> Option<&Error> {
    items.as_slice().get(place).and_then(|item| item.as_ref().err())
}

#[cfg(feature = "resilience")]
fn change<T>(items: &mut OneOrMany<Result<T>>, new: impl Fn(Error) -> Error) {
    for item in items.as_mut_slice() {
        if let Err(error) = item {
            *error = new(error.clone());
        }
    }
}

impl Response {
    /// Returns the error of an item, if it has one.
    #[cfg(feature = "resilience")]
    pub(crate) fn error_at(&self, place: usize) -> Option<&Error> {
        match self {
            Self::Found(items) => at(items, place),
            Self::Stored(items) => at(items, place),
            Self::Removed(items) | Self::Touched(items) => at(items, place),
            Self::Invalidated(items) => at(items, place),
            Self::Explained(items) => at(items, place),
        }
    }

    /// Returns whether an item failed.
    pub(crate) fn has_errors(&self) -> bool {
        match self {
            Self::Found(items) => items.iter().any(Result::is_err),
            Self::Stored(items) => items.iter().any(Result::is_err),
            Self::Removed(items) | Self::Touched(items) => items.iter().any(Result::is_err),
            Self::Invalidated(items) => items.iter().any(Result::is_err),
            Self::Explained(items) => items.iter().any(Result::is_err),
        }
    }

    /// Replaces the errors of all items that failed.
    #[cfg(feature = "resilience")]
    pub(crate) fn change_errors(&mut self, new: impl Fn(Error) -> Error) {
        match self {
            Self::Found(items) => change(items, new),
            Self::Stored(items) => change(items, new),
            Self::Removed(items) | Self::Touched(items) => change(items, new),
            Self::Invalidated(items) => change(items, new),
            Self::Explained(items) => change(items, new),
        }
    }
}
