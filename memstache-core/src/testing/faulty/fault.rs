//! One thing that goes wrong.

use std::{fmt, sync::Arc};

use crate::{error::Error, request::Request, testing::Gate};

/// One thing that goes wrong: with which calls, how often, and how. Default: with every call, for ever.
#[derive(Clone)]
#[must_use = "a fault does nothing until it is injected"]
pub struct Fault {
    kind: Kind,
    left: Option<usize>,
    when: Option<Arc<dyn Fn(&Request) -> bool + Send + Sync>>,
}

/// How a call goes wrong.
#[derive(Clone)]
pub(super) enum Kind {
    Before(Error),
    /// Without an error: that of a lost answer.
    After(Option<Error>),
    Hang(Gate),
}

impl Fault {
    /// The call fails before it is made: nothing has happened.
    pub fn before(error: Error) -> Self {
        Self::new(Kind::Before(error))
    }

    /// The call is made, and then each of its items is answered with the error.
    pub fn after(error: Error) -> Self {
        Self::new(Kind::After(Some(error)))
    }

    /// The call is made and its answer is lost: items of a write are [`Unknown`](crate::ErrorKind::Unknown), those of
    /// a read are [`Timeout`](crate::ErrorKind::Timeout).
    pub fn lost() -> Self {
        Self::new(Kind::After(None))
    }

    /// The call is held and then made only when the faults are healed.
    pub fn hang() -> Self {
        Self::new(Kind::Hang(Gate::new()))
    }

    /// Limits how many calls it meets.
    pub fn times(mut self, count: usize) -> Self {
        self.left = Some(count);
        self
    }

    /// Limits which calls it meets.
    pub fn when(mut self, meets: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        self.when = Some(Arc::new(meets));
        self
    }

    const fn new(kind: Kind) -> Self {
        Self { kind, left: None, when: None }
    }

    pub(super) fn gate(&self) -> Option<&Gate> {
        if let Kind::Hang(gate) = &self.kind { Some(gate) } else { None }
    }

    /// Returns what happens to a call, if this fault meets it; that uses it up by one.
    pub(super) fn meet(&mut self, request: &Request) -> Option<Kind> {
        if self.left == Some(0) || self.when.as_ref().is_some_and(|meets| !meets(request)) {
            return None;
        }
        self.left = self.left.map(|left| left - 1);
        Some(self.kind.clone())
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Before(_) => "before",
            Kind::After(_) => "after",
            Kind::Hang(_) => "hang",
        };
        f.debug_struct("Fault").field("kind", &kind).field("left", &self.left).finish_non_exhaustive()
    }
}
