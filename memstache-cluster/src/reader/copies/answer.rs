//! Answering from copies.

use memstache_core::{Consistency, Get, Lookup, OneOrMany, Request, Response, Result, Tick};

use crate::{
    owner::Local,
    reader::split::{Answered, Part},
    stats::count,
};

/// Takes out of a request what copies answer; returns the answers, and what is to be asked for.
pub(in crate::reader) fn answer(local: &Local, view: u64, request: Request, now: Tick) -> (Vec<Answered>, Vec<Part>) {
    let found = match &request {
        // Whoever says how old an answer may be, or that it is to be the authority's, has it asked.
        Request::Get(Get { items, scope, .. })
            if !local.copies.is_empty()
                && scope.consistency != Consistency::Authority
                && scope.max_staleness.is_none() =>
        {
            let find = |item: &memstache_core::GetItem| match item.unless {
                None => local.copies.find(&item.address, view, now),
                Some(_) => None,
            };
            items.iter().map(find).collect()
        }
        _ => Vec::new(),
    };
    let count_of = |found: &[Option<Lookup>]| found.iter().flatten().count();
    let hits = count_of(&found);
    if hits == 0 {
        return (Vec::new(), vec![Part::whole(request)]);
    }
    count(&local.counters.gets, hits);
    count(&local.counters.cache_hits, hits);
    apart(request, found)
}

fn apart(request: Request, found: Vec<Option<Lookup>>) -> (Vec<Answered>, Vec<Part>) {
    let Request::Get(op) = request else { return (Vec::new(), vec![Part::whole(request)]) };
    let (mut here, mut lookups, mut places, mut items) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (place, (item, lookup)) in op.items.into_iter().zip(found).enumerate() {
        match lookup {
            Some(lookup) => {
                here.push(place);
                lookups.push(Ok(lookup));
            }
            None => {
                places.push(place);
                items.push(item);
            }
        }
    }
    let found: OneOrMany<Result<Lookup>> = lookups.into_iter().collect();
    let answered = vec![(here, Ok(Response::Found(found)))];
    if items.is_empty() {
        return (answered, Vec::new());
    }
    let get = Get { items: items.into_iter().collect(), on_miss: op.on_miss, scope: op.scope };
    (answered, vec![Part { owner: None, places, request: get.into() }])
}
