//! The part of one owner, asked of it in pieces if it or the answer is too large for one frame.

use std::sync::Arc;

use memstache_core::{Error, ErrorKind, Request, Response, Result, Tick};

use super::{Cluster, View, remote, split::Part};
use crate::{
    owner::{Local, Refused},
    stats::count,
    wire::is_left_out,
};

/// What was asked, and what came of it.
type Ran = (Part, Result<Response, Refused>);

/// Asks an owner for a part: at once; what does not fit, once more by itself.
pub(super) async fn run(cluster: &Cluster, local: &Local, view: &Arc<View>, part: Part, deadline: Tick) -> Vec<Ran> {
    let (mut next, mut open, mut done) = (Some(part), Vec::new(), Vec::with_capacity(1));
    while let Some(part) = next.take().or_else(|| open.pop()) {
        match ask(cluster, local, view, &part, deadline).await {
            Err(Refused::Failed(error)) if may_be_halved(&part, &error) => open.extend(part.halves()),
            Ok(Response::Found(items)) if items.iter().any(|item| item.as_ref().is_err_and(is_left_out)) => {
                let left_out: Vec<bool> = items.iter().map(|item| item.as_ref().is_err_and(is_left_out)).collect();
                let (rest, answered) = part.sift(|item| left_out[item]);
                let items = items.into_iter().filter(|item| !item.as_ref().is_err_and(is_left_out));
                match answered {
                    Some(answered) => {
                        done.push((answered, Ok(Response::Found(items.collect()))));
                        open.extend(rest);
                    }
                    // Not even the first fits together with others.
                    None => open.extend(rest.into_iter().flat_map(Part::halves)),
                }
            }
            answer => done.push((part, answer)),
        }
    }
    for (part, answer) in done.iter().filter(|(part, _)| matches!(part.request, Request::Get(_))) {
        let (counters, items) = (&local.counters, part.places.len());
        count(&counters.gets, items);
        count(if answer.is_ok() { &counters.peer_loads } else { &counters.peer_errors }, items);
    }
    done
}

async fn ask(
    cluster: &Cluster,
    local: &Local,
    view: &Arc<View>,
    part: &Part,
    deadline: Tick,
) -> Result<Response, Refused> {
    let owner = part.owner.and_then(|owner| view.members.get(owner)).ok_or(Refused::WrongOwner)?;
    remote::run_hedged(cluster, local, view, owner, &part.request, deadline).await
}

/// Whether it was too large, and asking for less can do no harm.
fn may_be_halved(part: &Part, error: &Error) -> bool {
    let is_harmless = part.request.is_read() || !error.may_have_effect();
    error.kind() == ErrorKind::TooLarge && is_harmless && part.places.len() > 1
}
