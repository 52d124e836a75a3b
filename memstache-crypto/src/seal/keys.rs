//! The keys that one call needs: at hand, or to be waited for.

use std::{collections::HashMap, future::poll_fn, sync::Arc, task::Poll};

use memstache_core::{BoxFuture, Space};

use crate::key::{DataKey, DataKeys, KeyFailure, KeyId, KeyLookup};

/// What came of looking for a key.
pub(super) type Got = Result<Arc<DataKey>, KeyFailure>;

/// A key that an item needs: that which seals in a space, or the one of an id.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    space: Space,
    id: Option<KeyId>,
}

/// Where the items of a call get their keys.
pub(super) enum Source<'a> {
    /// From the keys; what is not at hand is put down to be waited for.
    Ask(&'a dyn DataKeys, &'a mut Waits),
    /// From what was waited for.
    Given(&'a HashMap<Wanted, Got>),
}

impl Source<'_> {
    /// Uses the key of an id, which commits to it, or the one that seals in a space; `None` if it must be waited for.
    ///
    /// It is used once, however often a key is lent: what would do it once only would be moved from hand to hand.
    #[inline(always)]
    pub(super) fn with<R>(
        &mut self,
        space: &Space,
        id: Option<KeyId>,
        mut use_it: impl FnMut(&DataKey) -> R,
    ) -> Option<Result<R, KeyFailure>> {
        let mut used = None;
        let mut to = |key: &DataKey| {
            if used.is_none() && id.is_none_or(|id| key.id() == id) {
                used = Some(use_it(key));
            }
        };
        let lent = match self {
            Self::Ask(keys, _) => keys.lend(space, id, &mut to),
            Self::Given(_) => false,
        };
        if !lent {
            match self.get(space, id)? {
                Ok(key) => to(&key),
                Err(failure) => return Some(Err(failure)),
            }
        }
        Some(used.ok_or(KeyFailure::Unknown))
    }

    /// Returns the key that seals in a space, or the one of an id; `None` if it must be waited for.
    #[inline(never)]
    fn get(&mut self, space: &Space, id: Option<KeyId>) -> Option<Got> {
        match self {
            Self::Ask(keys, waits) => waits.ask(*keys, space, id),
            Self::Given(got) => {
                let wanted = Wanted { space: space.clone(), id };
                Some(got.get(&wanted).cloned().unwrap_or(Err(KeyFailure::Unknown)))
            }
        }
    }
}

/// The keys that a call waits for, each once.
#[derive(Default)]
pub(super) struct Waits(Option<HashMap<Wanted, BoxFuture<'static, Got>>>);

impl Waits {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn ask(&mut self, keys: &dyn DataKeys, space: &Space, id: Option<KeyId>) -> Option<Got> {
        let wanted = || Wanted { space: space.clone(), id };
        if self.0.as_ref().is_some_and(|waits| waits.contains_key(&wanted())) {
            return None;
        }
        let lookup = match id {
            None => keys.sealing(space),
            Some(id) => keys.opening(space, id),
        };
        match lookup {
            KeyLookup::Ready(key) => Some(Ok(key)),
            KeyLookup::Failed(failure) => Some(Err(failure)),
            KeyLookup::Wait(wait) => {
                self.0.get_or_insert_default().insert(wanted(), wait);
                None
            }
        }
    }

    /// Waits for all of them, side by side.
    ///
    /// # Cancellation
    /// Dropping it drops what is waited for.
    pub(super) async fn all(self) -> HashMap<Wanted, Got> {
        let mut waiting: Vec<_> = self.0.into_iter().flatten().collect();
        let mut got = HashMap::with_capacity(waiting.len());
        poll_fn(move |cx| {
            waiting.retain_mut(|(wanted, wait)| match wait.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(key) => {
                    got.insert(wanted.clone(), key);
                    false
                }
            });
            if waiting.is_empty() { Poll::Ready(std::mem::take(&mut got)) } else { Poll::Pending }
        })
        .await
    }
}
