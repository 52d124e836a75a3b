//! One request for many owners: taken apart, and put together again.

use memstache_core::{
    Error, ErrorKind, Explain, Get, Invalidate, OnMiss, OneOrMany, Remove, Request, Response, Result, Set, Target,
    Touch,
};

use super::View;
use crate::member::NodeId;

/// The part of a request that one owner answers.
#[derive(Debug)]
pub(super) struct Part {
    /// Whose it is; nobody's, if there is nobody.
    pub(super) owner: Option<NodeId>,
    /// Which items of the whole it has, in order.
    pub(super) places: Vec<usize>,
    pub(super) request: Request,
}

/// The answer to some items of the whole, in their order.
pub(super) type Answered = (Vec<usize>, Result<Response>);

impl Part {
    /// A request as a part that is all of it.
    pub(super) fn whole(request: Request) -> Self {
        Self { owner: None, places: (0..request.len()).collect(), request }
    }
}

/// Takes a request apart by the owners of what it is about.
///
/// A batch of several owners waits for no load of others: its part at one owner would hold leases while that at another waits,
/// and two such batches would wait for each other. It is told which keys are busy.
pub(super) fn split(request: Request, view: &View) -> Vec<Part> {
    let waits = request.waits();
    let mut parts = by_owner(request, view);
    if waits && parts.len() > 1 {
        for part in &mut parts {
            if let Request::Get(op) = &mut part.request {
                op.on_miss = OnMiss::Lease;
            }
        }
    }
    parts
}

fn by_owner(request: Request, view: &View) -> Vec<Part> {
    /// Takes the items of an operation apart; the rest of it is the same for each part.
    macro_rules! parts {
        ($op:ident, $kind:ident { $($rest:ident),* }, |$item:ident| $owner:expr) => {{
            let $kind { items, $($rest),* } = $op;
            let part = |(owner, places, items): (_, _, Vec<_>)| {
                let op = $kind { items: items.into_iter().collect(), $($rest),* };
                Part { owner, places, request: Request::$kind(op) }
            };
            group(items, |$item| $owner).into_iter().map(part).collect()
        }};
    }
    let owner = |stored: &[u8]| view.table.owner_of(stored);
    match request {
        Request::Get(op) => parts!(op, Get { on_miss, scope }, |item| owner(item.address.stored())),
        Request::Set(op) => parts!(op, Set { scope }, |item| owner(item.address.stored())),
        Request::Remove(op) => parts!(op, Remove { scope }, |item| owner(item.stored())),
        Request::Touch(op) => parts!(op, Touch { scope }, |item| owner(item.address.stored())),
        Request::Explain(op) => parts!(op, Explain { scope }, |item| owner(item.stored())),
        Request::Invalidate(op) => parts!(op, Invalidate { scope }, |item| owner(&home_key(item))),
        // A kind that this version does not know is nobody's.
        other => vec![Part { owner: None, places: (0..other.len()).collect(), request: other }],
    }
}

/// Returns by what the home of an invalidation is found.
pub(crate) fn home_key(target: &Target) -> Vec<u8> {
    match target {
        Target::Tag(space, _) | Target::Space(space) => space.key().to_vec(),
        other => [other.tenant().unwrap_or_default(), ":"].concat().into_bytes(),
    }
}

type Groups<T> = Vec<(Option<NodeId>, Vec<usize>, Vec<T>)>;

fn group<T>(items: OneOrMany<T>, owner: impl Fn(&T) -> Option<NodeId>) -> Groups<T> {
    let mut groups: Groups<T> = Vec::new();
    for (place, item) in items.into_iter().enumerate() {
        let owner = owner(&item);
        // A few owners: looked through, not hashed.
        let at = groups.iter().position(|group| group.0 == owner).unwrap_or_else(|| {
            groups.push((owner, Vec::new(), Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push(place);
        groups[at].2.push(item);
    }
    groups
}

/// What kind of answer belongs to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Found,
    Stored,
    Removed,
    Touched,
    Invalidated,
    Explained,
}

impl Kind {
    pub(super) fn of(request: &Request) -> Option<Self> {
        Some(match request {
            Request::Get(_) => Self::Found,
            Request::Set(_) => Self::Stored,
            Request::Remove(_) => Self::Removed,
            Request::Touch(_) => Self::Touched,
            Request::Invalidate(_) => Self::Invalidated,
            Request::Explain(_) => Self::Explained,
            _ => return None,
        })
    }
}

/// Puts the answers to the parts together, in the order of the whole; a part that failed has failed for each of its items.
pub(super) fn join(kind: Kind, count: usize, answers: Vec<Answered>) -> Response {
    macro_rules! joined {
        ($variant:ident) => {{
            let take = |response| match response {
                Response::$variant(items) => Some(items),
                _ => None,
            };
            Response::$variant(in_place(count, answers, take))
        }};
    }
    match kind {
        Kind::Found => joined!(Found),
        Kind::Stored => joined!(Stored),
        Kind::Removed => joined!(Removed),
        Kind::Touched => joined!(Touched),
        Kind::Invalidated => joined!(Invalidated),
        Kind::Explained => joined!(Explained),
    }
}

fn in_place<T>(
    count: usize,
    answers: Vec<Answered>,
    take: impl Fn(Response) -> Option<OneOrMany<Result<T>>>,
) -> OneOrMany<Result<T>> {
    let mut whole: Vec<Option<Result<T>>> = (0..count).map(|_| None).collect();
    for (places, answer) in answers {
        let items = answer.and_then(|response| take(response).ok_or_else(other));
        let items = items.and_then(|items| if items.len() == places.len() { Ok(items) } else { Err(other()) });
        match items {
            Ok(items) => places.into_iter().zip(items).for_each(|(place, item)| whole[place] = Some(item)),
            Err(error) => places.into_iter().for_each(|place| whole[place] = Some(Err(error.clone()))),
        }
    }
    whole.into_iter().map(|item| item.unwrap_or_else(|| Err(other()))).collect()
}

fn other() -> Error {
    Error::new(ErrorKind::Protocol, "an owner answered something else than it was asked")
}
