//! The errors in an answer, item by item, whatever was asked.

use super::{OneOrMany, Response};
use crate::error::{Error, Result};

fn at<T>(items: &OneOrMany<Result<T>>, place: usize) -> Option<&Error> {
    items.as_slice().get(place).and_then(|item| item.as_ref().err())
}

fn change<T>(items: &mut OneOrMany<Result<T>>, new: impl Fn(Error) -> Error) {
    for item in items.as_mut_slice() {
        if let Err(error) = item {
            *error = new(error.clone());
        }
    }
}

impl Response {
    /// Returns the error of an item, if it has one.
    pub(crate) fn error_at(&self, place: usize) -> Option<&Error> {
        match self {
            Self::Found(items) => at(items, place),
            Self::Stored(items) => at(items, place),
            Self::Removed(items) | Self::Touched(items) => at(items, place),
            Self::Invalidated(items) => at(items, place),
        }
    }

    /// Returns whether an item failed.
    pub(crate) fn has_errors(&self) -> bool {
        match self {
            Self::Found(items) => items.iter().any(Result::is_err),
            Self::Stored(items) => items.iter().any(Result::is_err),
            Self::Removed(items) | Self::Touched(items) => items.iter().any(Result::is_err),
            Self::Invalidated(items) => items.iter().any(Result::is_err),
        }
    }

    /// Replaces the errors of all items that failed.
    pub(crate) fn change_errors(&mut self, new: impl Fn(Error) -> Error) {
        match self {
            Self::Found(items) => change(items, new),
            Self::Stored(items) => change(items, new),
            Self::Removed(items) | Self::Touched(items) => change(items, new),
            Self::Invalidated(items) => change(items, new),
        }
    }
}
