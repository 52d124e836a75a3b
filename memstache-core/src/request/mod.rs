//! The one request type that travels through a stack, and its answer.

#[cfg(any(feature = "near", feature = "resilience"))]
mod errors;
mod explain;
mod get;
mod invalidate;
mod one_or_many;
mod remove;
mod scope;
mod set;
mod touch;

pub use self::{
    explain::{Explain, Explained, Reason, TierReport},
    get::{Found, Get, GetItem, Lease, LeaseId, Lookup, OnMiss},
    invalidate::{Invalidate, Invalidated, Target},
    one_or_many::OneOrMany,
    remove::{Remove, Removed},
    scope::{Consistency, Scope},
    set::{Set, SetItem, Stored, When, Written},
    touch::{Touch, TouchItem, TouchKind, Touched},
};
use crate::{
    address::Address,
    entry::{Entry, NewEntry},
    error::{Error, ErrorKind, Result},
};

/// An operation on its way through a stack.
///
/// A layer that does not know an operation passes it on, unless it guards something: then it answers
/// [`ErrorKind::Unsupported`]. [`addresses`](Self::addresses), [`tenants`](Self::tenants) and
/// [`entries_mut`](Self::entries_mut) are exhaustive, so guards use those.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Request {
    /// Reads.
    Get(Get),
    /// Writes.
    Set(Set),
    /// Removes.
    Remove(Remove),
    /// Touches.
    Touch(Touch),
    /// Invalidates.
    Invalidate(Invalidate),
    /// Asks what is held, and why it would not be answered.
    Explain(Explain),
}

impl Request {
    /// Returns the operation's name, for spans and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Get(_) => "get",
            Self::Set(_) => "set",
            Self::Remove(_) => "remove",
            Self::Touch(_) => "touch",
            Self::Invalidate(_) => "invalidate",
            Self::Explain(_) => "explain",
        }
    }

    /// Returns what is asked of every layer.
    pub fn scope(&self) -> &Scope {
        match self {
            Self::Get(op) => &op.scope,
            Self::Set(op) => &op.scope,
            Self::Remove(op) => &op.scope,
            Self::Touch(op) => &op.scope,
            Self::Invalidate(op) => &op.scope,
            Self::Explain(op) => &op.scope,
        }
    }

    /// Returns what is asked of every layer.
    pub fn scope_mut(&mut self) -> &mut Scope {
        match self {
            Self::Get(op) => &mut op.scope,
            Self::Set(op) => &mut op.scope,
            Self::Remove(op) => &mut op.scope,
            Self::Touch(op) => &mut op.scope,
            Self::Invalidate(op) => &mut op.scope,
            Self::Explain(op) => &mut op.scope,
        }
    }

    /// Returns the number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Get(op) => op.items.len(),
            Self::Set(op) => op.items.len(),
            Self::Remove(op) => op.items.len(),
            Self::Touch(op) => op.items.len(),
            Self::Invalidate(op) => op.items.len(),
            Self::Explain(op) => op.items.len(),
        }
    }

    /// Returns whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over every address that the operation names.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        let (get, set, plain, touch): (&[GetItem], &[SetItem], &[Address], &[TouchItem]) = match self {
            Self::Get(op) => (op.items.as_slice(), &[], &[], &[]),
            Self::Set(op) => (&[], op.items.as_slice(), &[], &[]),
            Self::Remove(Remove { items, .. }) | Self::Explain(Explain { items, .. }) => {
                (&[], &[], items.as_slice(), &[])
            }
            Self::Touch(op) => (&[], &[], &[], op.items.as_slice()),
            Self::Invalidate(_) => (&[], &[], &[], &[]),
        };
        get.iter()
            .map(|item| &item.address)
            .chain(set.iter().map(|item| &item.address))
            .chain(plain)
            .chain(touch.iter().map(|item| &item.address))
    }

    /// Iterates over the tenant of every item; `None` for an item of the shared space.
    pub fn tenants(&self) -> impl Iterator<Item = Option<&str>> {
        let targets: &[Target] = if let Self::Invalidate(op) = self { op.items.as_slice() } else { &[] };
        self.addresses().map(Address::tenant).chain(targets.iter().map(Target::tenant))
    }

    /// Iterates over every entry that the operation writes, with its address.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = (&Address, &mut NewEntry)> {
        let items: &mut [SetItem] = match self {
            Self::Set(op) => op.items.as_mut_slice(),
            Self::Get(_) | Self::Remove(_) | Self::Touch(_) | Self::Invalidate(_) | Self::Explain(_) => &mut [],
        };
        items.iter_mut().map(|item| (&item.address, &mut item.entry))
    }

    /// Returns whether it changes nothing that a caller asked to change: cut off, it is known not to have happened.
    pub fn is_read(&self) -> bool {
        match self {
            Self::Get(_) | Self::Explain(_) => true,
            Self::Touch(op) => op.items.iter().all(|item| item.kind == TouchKind::Probe),
            Self::Set(_) | Self::Remove(_) | Self::Invalidate(_) => false,
        }
    }

    /// Returns whether it only carries on or ends loads that were admitted before: fills under leases, renewals, releases.
    ///
    /// What refuses calls to protect something lets these pass: refused, a key would stay busy for the ttl of its lease.
    /// Their number, and with it the bytes of the fills, is bounded by [`max_loads`](crate::CacheBuilder::max_loads).
    pub fn continues_loads(&self) -> bool {
        match self {
            Self::Set(op) => op.items.iter().all(|item| matches!(item.when, When::IfLease(_))),
            Self::Touch(op) => {
                op.items.iter().all(|item| matches!(item.kind, TouchKind::Renew(_) | TouchKind::Release(_)))
            }
            Self::Get(_) | Self::Remove(_) | Self::Invalidate(_) | Self::Explain(_) => false,
        }
    }

    /// Returns whether it may wait for loads of others, for as long as its deadline lets it.
    pub fn waits(&self) -> bool {
        matches!(self, Self::Get(Get { on_miss: OnMiss::Wait, .. }))
    }

    /// Returns whether doing it twice is the same as doing it once.
    pub fn is_idempotent(&self) -> bool {
        match self {
            Self::Set(op) => op.items.iter().all(|item| matches!(item.when, When::Always | When::IfLease(_))),
            Self::Get(_) | Self::Remove(_) | Self::Touch(_) | Self::Invalidate(_) | Self::Explain(_) => true,
        }
    }
}

/// The answer to a [`Request`], item by item in the order asked.
///
/// The whole call is `Err` only when nothing was attempted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Response {
    /// To a [`Get`].
    Found(Found),
    /// To a [`Set`].
    Stored(Stored),
    /// To a [`Remove`].
    Removed(Removed),
    /// To a [`Touch`].
    Touched(Touched),
    /// To an [`Invalidate`].
    Invalidated(Invalidated),
    /// To an [`Explain`].
    Explained(Explained),
}

impl Response {
    /// Returns the number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Found(items) => items.len(),
            Self::Stored(items) => items.len(),
            Self::Removed(items) | Self::Touched(items) => items.len(),
            Self::Invalidated(items) => items.len(),
            Self::Explained(items) => items.len(),
        }
    }

    /// Returns whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over every entry that the answer carries to be read.
    ///
    /// What an [`Explain`] is answered with is not: a [`Transform`](crate::Transform) is given it as the answer to a [`Get`].
    pub fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        let items: &mut [Result<Lookup>] = match self {
            Self::Found(items) => items.as_mut_slice(),
            Self::Stored(_) | Self::Removed(_) | Self::Touched(_) | Self::Invalidated(_) | Self::Explained(_) => {
                &mut []
            }
        };
        items.iter_mut().filter_map(|item| match item {
            Ok(Lookup::Hit(entry) | Lookup::Stale(entry, _)) => Some(entry),
            _ => None,
        })
    }
}

/// Pairs an operation with the answer that belongs to it; sealed.
pub trait Operation: sealed::Sealed + Into<Request> + Send + 'static {
    /// The answer, item by item.
    type Output: Send + 'static;

    /// Takes the answer out of a response.
    ///
    /// Any other answer than the operation's own is [`ErrorKind::Protocol`].
    fn output(response: Response) -> Result<Self::Output>;
}

#[allow(unnameable_types, reason = "sealed")]
mod sealed {
    pub trait Sealed {}
}

macro_rules! operation {
    ($op:ident => $answer:ident) => {
        impl sealed::Sealed for $op {}

        impl From<$op> for Request {
            fn from(op: $op) -> Self {
                Self::$op(op)
            }
        }

        impl Operation for $op {
            type Output = $answer;

            fn output(response: Response) -> Result<$answer> {
                match response {
                    Response::$answer(items) => Ok(items),
                    _ => Err(Error::new(
                        ErrorKind::Protocol,
                        concat!("a layer answered something else to ", stringify!($op)),
                    )),
                }
            }
        }
    };
}

operation!(Get => Found);
operation!(Set => Stored);
operation!(Remove => Removed);
operation!(Touch => Touched);
operation!(Invalidate => Invalidated);
operation!(Explain => Explained);
