//! Whether all primaries are listened to, as a state machine.

use std::{collections::HashMap, sync::Arc};

use memstache_core::Invalidation;

/// The listeners of all primaries together.
#[derive(Debug, Default)]
pub(super) struct Lines {
    nodes: HashMap<Arc<str>, bool>,
    up: bool,
}

impl Lines {
    /// There is a primary that nobody listens to yet.
    pub(super) fn added(&mut self, node: &Arc<str>) -> Option<Invalidation> {
        self.nodes.insert(Arc::clone(node), false);
        self.settle(false)
    }

    /// A primary is none any more. What it did last may not have been heard: whoever took over tells of it only if it was
    /// listened to by then.
    pub(super) fn removed(&mut self, node: &str) -> Option<Invalidation> {
        self.nodes.remove(node);
        self.settle(true)
    }

    /// A primary is listened to from now on.
    pub(super) fn up(&mut self, node: &str) -> Option<Invalidation> {
        let known = self.nodes.get_mut(node)?;
        *known = true;
        self.settle(true)
    }

    /// A primary is not listened to from some moment before now on.
    pub(super) fn down(&mut self, node: &str) -> Option<Invalidation> {
        let known = self.nodes.get_mut(node)?;
        *known = false;
        self.settle(false)
    }

    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    fn settle(&mut self, missed: bool) -> Option<Invalidation> {
        let was = self.up;
        self.up = !self.nodes.is_empty() && self.nodes.values().all(|up| *up);
        match (was, self.up) {
            (true, false) => Some(Invalidation::Lost),
            (false, true) => Some(Invalidation::Gap),
            (true, true) => missed.then_some(Invalidation::Gap),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_must_be_heard_and_what_was_missed_is_told() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let mut lines = Lines::default();
        assert_eq!(lines.added(&a), None);
        assert_eq!(lines.added(&b), None);
        assert_eq!(lines.up("a"), None, "one of two is not enough");
        assert_eq!(lines.up("b"), Some(Invalidation::Gap));
        assert_eq!(lines.down("a"), Some(Invalidation::Lost));
        assert_eq!(lines.down("b"), None, "told once");
        assert_eq!((lines.up("a"), lines.up("b")), (None, Some(Invalidation::Gap)));
        assert_eq!(lines.removed("b"), Some(Invalidation::Gap));
        assert_eq!(lines.added(&b), Some(Invalidation::Lost));
        assert_eq!(lines.removed("b"), Some(Invalidation::Gap), "the one that is left is heard");
        assert_eq!(lines.removed("a"), Some(Invalidation::Lost));
        assert_eq!((lines.up("a"), lines.is_up()), (None, false), "who was removed says nothing");
    }
}
