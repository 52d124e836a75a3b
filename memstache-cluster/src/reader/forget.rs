//! Removing a key without waiting for its copies.

use std::sync::Arc;

use memstache_core::{Address, Error, ErrorKind, OneOrMany, Result, Tick};

use super::{
    Cluster, View,
    route::{ATTEMPTS, VIEW_PAUSE, disagreeing},
};
use crate::{
    engine::{Node, Slot},
    owner::{Refused, forget_owned},
    wire::{Answer, Call},
};

/// Removes a key at its owner; returns how many nodes may still have a copy.
pub(crate) async fn forget(
    node: &Arc<Node>,
    cluster: &Arc<Cluster>,
    slot: &Arc<Slot>,
    address: &Address,
    deadline: Tick,
) -> Result<usize> {
    for attempt in 0..ATTEMPTS {
        let view = cluster.view();
        match at_owner(node, cluster, slot, &view, address, deadline).await {
            Ok(unacked) => return Ok(unacked),
            Err(Refused::Failed(error)) => return Err(error),
            Err(Refused::WrongOwner) if attempt + 1 < ATTEMPTS => cluster.another_view(&view, VIEW_PAUSE).await,
            Err(Refused::WrongOwner) => {}
        }
    }
    Err(disagreeing())
}

async fn at_owner(
    node: &Arc<Node>,
    cluster: &Arc<Cluster>,
    slot: &Arc<Slot>,
    view: &View,
    address: &Address,
    deadline: Tick,
) -> Result<usize, Refused> {
    let owner = view.table.owner_of(address.stored()).ok_or(Refused::WrongOwner)?;
    let items = OneOrMany::One(address.clone());
    if owner == cluster.me {
        return forget_owned(node, cluster, slot, items, deadline).await;
    }
    let member = view.members.get(owner).ok_or(Refused::WrongOwner)?;
    match cluster.call(member, Call::Forget { keyspace: slot.name.clone(), items }, deadline).await? {
        Answer::Partial { unacked } => Ok(unacked as usize),
        Answer::WrongOwner { .. } => Err(Refused::WrongOwner),
        Answer::NoKeyspace => Err(Refused::Failed(super::remote::no_keyspace())),
        Answer::Failed(error) => Err(Refused::Failed(error)),
        _ => Err(Refused::Failed(Error::new(ErrorKind::Protocol, "a peer answered something else"))),
    }
}
