//! Contexts of compressors: costly to make, so used again.

use std::{
    ops::{Deref, DerefMut},
    thread,
};

use parking_lot::Mutex;

/// Contexts that are not in use, at most one for each thread that the machine runs.
pub(crate) struct Idle<T> {
    contexts: Mutex<Vec<T>>,
    max: usize,
}

impl<T> Idle<T> {
    pub(crate) fn new() -> Self {
        let max = thread::available_parallelism().map_or(4, usize::from).max(4);
        Self { contexts: Mutex::new(Vec::with_capacity(max)), max }
    }

    /// Takes an idle context, or makes one.
    pub(crate) fn take(&self, make: impl FnOnce() -> T) -> Taken<'_, T> {
        let context = self.contexts.lock().pop();
        Taken { context: Some(context.unwrap_or_else(make)), idle: self }
    }
}

/// A context in use.
pub(crate) struct Taken<'a, T> {
    context: Option<T>,
    idle: &'a Idle<T>,
}

impl<T> Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.context.as_ref().expect("taken until it is dropped")
    }
}

impl<T> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.context.as_mut().expect("taken until it is dropped")
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        let mut contexts = self.idle.contexts.lock();
        if contexts.len() < self.idle.max {
            contexts.extend(self.context.take());
        }
        drop(contexts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_used_again_and_bounded() {
        let idle = Idle::new();
        let taken: Vec<_> = (0..100).map(|n| idle.take(|| n)).collect();
        drop(taken);
        assert_eq!(idle.contexts.lock().len(), idle.max);
        assert!(*idle.take(|| 1_000) < 1_000);
    }
}
