//! One item without a heap allocation, or many.

use std::{iter, slice, vec};

/// The items of an operation: a batch is data, and one item costs no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "one or many: there is no third")]
pub enum OneOrMany<T> {
    /// One item.
    One(T),
    /// Any number of items, also none.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// Returns the number of items.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Returns whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// Returns the items.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(item) => slice::from_ref(item),
            Self::Many(items) => items,
        }
    }

    /// Returns the items.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Self::One(item) => slice::from_mut(item),
            Self::Many(items) => items,
        }
    }

    /// Iterates over the items.
    pub fn iter(&self) -> slice::Iter<'_, T> {
        self.as_slice().iter()
    }

    /// Iterates over the items.
    pub fn iter_mut(&mut self) -> slice::IterMut<'_, T> {
        self.as_mut_slice().iter_mut()
    }

    /// Turns each item into another; one stays one.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> OneOrMany<U> {
        match self {
            Self::One(item) => OneOrMany::One(change(item)),
            Self::Many(items) => OneOrMany::Many(items.into_iter().map(change).collect()),
        }
    }

    /// Turns each item into another by reference; one stays one.
    pub fn map_ref<U>(&self, mut change: impl FnMut(&T) -> U) -> OneOrMany<U> {
        match self {
            Self::One(item) => OneOrMany::One(change(item)),
            Self::Many(items) => OneOrMany::Many(items.iter().map(change).collect()),
        }
    }

    /// Returns the only item; `None` when there are more or fewer.
    pub fn into_one(self) -> Option<T> {
        match self {
            Self::One(item) => Some(item),
            Self::Many(mut items) => items.pop().filter(|_| items.is_empty()),
        }
    }
}

impl<T> From<T> for OneOrMany<T> {
    fn from(item: T) -> Self {
        Self::One(item)
    }
}

impl<T> FromIterator<T> for OneOrMany<T> {
    /// Collects; exactly one item becomes `One`.
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter();
        match (items.next(), items.next()) {
            (Some(one), None) => Self::One(one),
            (first, second) => Self::Many(first.into_iter().chain(second).chain(items).collect()),
        }
    }
}

impl<T> IntoIterator for OneOrMany<T> {
    type Item = T;
    type IntoIter = iter::Chain<std::option::IntoIter<T>, vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, many) = match self {
            Self::One(item) => (Some(item), Vec::new()),
            Self::Many(items) => (None, items),
        };
        one.into_iter().chain(many)
    }
}

impl<'a, T> IntoIterator for &'a OneOrMany<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collects_one_none_and_many() {
        assert_eq!(OneOrMany::from_iter([1]), OneOrMany::One(1));
        assert_eq!(OneOrMany::<u8>::from_iter([]), OneOrMany::Many(vec![]));
        assert_eq!(OneOrMany::from_iter([1, 2, 3]), OneOrMany::Many(vec![1, 2, 3]));
        assert_eq!(OneOrMany::from_iter([1, 2, 3]).map(|n| n * 2).into_iter().sum::<i32>(), 12);
        assert_eq!(OneOrMany::Many(vec![1]).into_one(), Some(1));
        assert_eq!(OneOrMany::Many(vec![1, 2]).into_one(), None);
    }
}
