//! Bugs that a simulation plants, to see that it notices them.

use std::sync::Arc;

use futures_util::future::join_all;
use memstache_core::{
    Address, Found, Get, Lifetime, Lookup, NewEntry, OneOrMany, Request, Response, Result, Scope, Set, SetItem, Space,
    Store as _, Tick, When,
};

use super::{Local, handover::anew};
use crate::{
    engine::{Node, Slot},
    keyspace::Key,
};

/// A bug that a test asks for; by default none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Faults {
    /// None.
    #[default]
    None,
    /// An entry that is removed is put back.
    StoreAfterDelete,
    /// What was loaded is stored although the key was removed meanwhile.
    IgnoreLease,
    /// A read joins a load that began before the last removal.
    JoinOldFlight,
    /// One of so many invalidations, of tags and of copies, is not told to a member.
    DropInvalidation(u32),
    /// A node that was left out for a while goes on with what it held.
    KeepAfterPause,
    /// A new owner answers before the previous one has agreed.
    AcknowledgeEarly,
    /// A delete is acknowledged before replicas have heard of it, and they never do.
    ForgetReplicas,
    /// A write, or an invalidation, does not wait for members that were lost and may not know it.
    NeverWaitForGone,
    /// Who comes back from a split tells nobody of it.
    NeverTellOfSplits,
    /// What is stored without a source is bound to its key, and not to its tenant.
    ForgetTenant,
    /// Nothing is handed over when members change: no bug, but something to compare with.
    NoHandOver,
}

impl Faults {
    pub(super) fn drops_invalidation(self) -> bool {
        matches!(self, Self::DropInvalidation(one_of) if fastrand::u32(..one_of) == 0)
    }
}

/// Runs a request wrongly, if that was asked for and concerns it.
pub(super) async fn instead(
    node: &Arc<Node>,
    faults: Faults,
    slot: &Slot,
    request: &Request,
    deadline: Tick,
) -> Option<Result<Response>> {
    match (faults, request) {
        (Faults::ForgetTenant, request) => {
            let request = without_tenant(slot, request.clone())?;
            Some(node.run_here(slot, request).await)
        }
        (Faults::StoreAfterDelete, Request::Remove(_)) => Some(remove_and_put_back(node, slot, request.clone()).await),
        (Faults::IgnoreLease, Request::Get(op)) => {
            let loaded = async { slot.current()?.load_without_lease(op).await };
            loaded.await.err().map(Err)
        }
        (Faults::JoinOldFlight, Request::Get(op)) => match slot.current() {
            Ok(local) if local.has_source() => Some(Ok(Response::Found(local.load_or_join_any(op, deadline).await))),
            _ => None,
        },
        _ => None,
    }
}

/// The same request for keys of no tenant; none for a keyspace with a source, which is asked by tenant.
fn without_tenant(slot: &Slot, mut request: Request) -> Option<Request> {
    let space = slot.current().ok().filter(|local| !local.has_source())?.spec.name().clone();
    let space = Space::new(None, &space);
    let bare = |address: &mut Address| {
        if let Ok(of_nobody) = Address::plain(&space, address.name()) {
            *address = of_nobody;
        }
    };
    match &mut request {
        Request::Get(op) => op.items.iter_mut().for_each(|item| bare(&mut item.address)),
        Request::Set(op) => op.items.iter_mut().for_each(|item| bare(&mut item.address)),
        Request::Remove(op) => op.items.iter_mut().for_each(bare),
        _ => return None,
    }
    Some(request)
}

async fn remove_and_put_back(node: &Arc<Node>, slot: &Slot, request: Request) -> Result<Response> {
    let local = slot.current()?;
    let addresses: OneOrMany<_> = request.addresses().cloned().collect();
    let held = local.peek(addresses.clone()).await;
    let response = node.run_here(slot, request).await;
    let now = local.clock.now();
    for (address, entry) in addresses.into_iter().zip(held) {
        if let Some(entry) = entry.and_then(|entry| anew(entry, now)) {
            local.store.set(Set::one(address, entry)).await?;
        }
    }
    response
}

impl Local {
    /// Loads what is read, or joins a load that may have begun before the last removal.
    async fn load_or_join_any(&self, op: &Get, deadline: Tick) -> Found {
        let reads = op.items.iter().map(|item| async {
            let loaded = self.join_or_load(Key::new(item.address.clone()), deadline).await?;
            Ok(loaded.map_or(Lookup::Miss, |value| Lookup::Hit(self.unkept(value))))
        });
        join_all(reads).await.into_iter().collect()
    }

    /// Loads what is missing and stores it, whatever happened meanwhile.
    async fn load_without_lease(&self, op: &Get) -> Result<()> {
        let Some(loads) = &self.loads else { return Ok(()) };
        for item in op.items.iter() {
            let address = item.address.clone();
            let held = self.peek(OneOrMany::One(address.clone())).await;
            if held.into_one().flatten().is_some() {
                continue;
            }
            let Some(value) = loads.guard.ask(Key::new(address.clone())).await? else { continue };
            let mut entry = NewEntry::new(value, Lifetime::UNLIMITED);
            entry.content.format = self.spec.0.format;
            let items = OneOrMany::One(SetItem { address, entry, when: When::Always });
            self.store.set(Set { items, scope: Scope::default() }).await?;
        }
        Ok(())
    }
}
