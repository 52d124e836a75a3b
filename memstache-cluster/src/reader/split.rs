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

    /// Takes it apart anew, by the view that is seen now.
    pub(super) fn again(self, view: &View) -> Vec<Self> {
        if self.places.len() == 1 {
            let owner = owner_of_one(&self.request, view);
            return vec![Self { owner, ..self }];
        }
        let Self { places, request, .. } = self;
        split(request, view).into_iter().map(|part| part.within(&places)).collect()
    }

    /// Takes it apart into its two halves.
    pub(super) fn halves(self) -> Vec<Self> {
        let half = self.places.len().div_ceil(2);
        let (first, second) = self.sift(|item| item < half);
        [first, second].into_iter().flatten().collect()
    }

    /// Takes it apart into the items that are told, by their numbers, and the others.
    pub(super) fn sift(self, told: impl Fn(usize) -> bool) -> (Option<Self>, Option<Self>) {
        let Self { owner, places, request } = self;
        let mut items = 0..;
        let (mut those, mut others) = (None, None);
        for (is_told, of_them, request) in apart(request, |_| items.next().is_some_and(&told)) {
            let part = Self { owner, places: of_them, request }.within(&places);
            *(if is_told { &mut those } else { &mut others }) = Some(part);
        }
        (those, others)
    }

    /// The part of a whole, of which these are the places of what it was taken from.
    fn within(mut self, places: &[usize]) -> Self {
        self.places.iter_mut().for_each(|place| *place = places[*place]);
        self
    }
}

/// Returns who owns what a request of one item is about; nobody, for a kind that this version does not know.
fn owner_of_one(request: &Request, view: &View) -> Option<NodeId> {
    match request {
        Request::Invalidate(op) => op.items.iter().next().and_then(|target| view.table.owner_of(&home_key(target))),
        other => other.addresses().next().and_then(|address| view.table.owner_of(address.stored())),
    }
}

/// Takes a request apart by the owners of what it is about.
pub(super) fn split(request: Request, view: &View) -> Vec<Part> {
    // A kind that this version does not know is nobody's.
    let parts = apart(request, |key| key.and_then(|key| view.table.owner_of(key)));
    parts.into_iter().map(|(owner, places, request)| Part { owner, places, request }).collect()
}

/// Takes a request apart by what is said of the key of each item, in their order.
///
/// A batch in several parts waits for no load of others: one part would hold leases while another waits, and two such batches
/// would wait for each other. It is told which keys are busy.
fn apart<G: PartialEq>(request: Request, mut of: impl FnMut(Option<&[u8]>) -> G) -> Vec<(G, Vec<usize>, Request)> {
    /// Takes the items of an operation apart; the rest of it is the same for each part.
    macro_rules! parts {
        ($op:ident, $kind:ident { $($rest:ident),* }, |$item:ident| $key:expr) => {{
            let $kind { items, $($rest),* } = $op;
            let part = |(group, places, items): (G, _, Vec<_>)| {
                let op = $kind { items: items.into_iter().collect(), $($rest),* };
                (group, places, Request::$kind(op))
            };
            group(items, |$item| of(Some($key))).into_iter().map(part).collect::<Vec<_>>()
        }};
    }
    let waits = request.waits();
    let mut parts = match request {
        Request::Get(op) => parts!(op, Get { on_miss, scope }, |item| item.address.stored()),
        Request::Set(op) => parts!(op, Set { scope }, |item| item.address.stored()),
        Request::Remove(op) => parts!(op, Remove { scope }, |item| item.stored()),
        Request::Touch(op) => parts!(op, Touch { scope }, |item| item.address.stored()),
        Request::Explain(op) => parts!(op, Explain { scope }, |item| item.stored()),
        Request::Invalidate(op) => parts!(op, Invalidate { scope }, |item| &home_key(item)),
        other => vec![(of(None), (0..other.len()).collect(), other)],
    };
    if waits && parts.len() > 1 {
        for (_, _, request) in &mut parts {
            if let Request::Get(op) = request {
                op.on_miss = OnMiss::Lease;
            }
        }
    }
    parts
}

/// Returns by what the home of an invalidation is found.
pub(crate) fn home_key(target: &Target) -> Vec<u8> {
    match target {
        Target::Tag(space, _) | Target::Space(space) => space.key().to_vec(),
        other => [other.tenant().unwrap_or_default(), ":"].concat().into_bytes(),
    }
}

fn group<T, G: PartialEq>(items: OneOrMany<T>, mut of: impl FnMut(&T) -> G) -> Vec<(G, Vec<usize>, Vec<T>)> {
    let mut groups: Vec<(G, Vec<usize>, Vec<T>)> = Vec::new();
    for (place, item) in items.into_iter().enumerate() {
        let of = of(&item);
        // A few owners: looked through, not hashed.
        let at = groups.iter().position(|group| group.0 == of).unwrap_or_else(|| {
            groups.push((of, Vec::new(), Vec::new()));
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
