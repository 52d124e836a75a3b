//! Which items go to which server in one call.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use foldhash::fast::RandomState;
use memstache_core::Address;

use crate::{
    client::slot_of,
    layout::{Keys, TenantKeys},
};

/// Items that one script takes at most: a script holds up everything else of its server.
const MOST: usize = 64;
/// Items of a command that only reads.
const MOST_READ: usize = 256;

/// The items of a call, by where they lie.
pub(super) struct Plan {
    pub(super) places: Vec<Place>,
    pub(super) tenants: Vec<Tenant>,
    pub(super) groups: Vec<Group>,
}

/// Where an item lies.
pub(super) struct Place {
    /// The key of its value.
    pub(super) key: Bytes,
    /// Its tenant, and its space among those of the tenant.
    pub(super) tenant: usize,
    pub(super) space: usize,
}

/// A tenant and the spaces of it that are concerned.
pub(super) struct Tenant {
    pub(super) name: String,
    pub(super) keys: TenantKeys,
    pub(super) slot: u16,
    pub(super) spaces: Vec<String>,
    /// For each space, what plain reads need of it.
    extracts: Vec<Bytes>,
}

impl Tenant {
    /// Returns the keys of what plain reads need of the line: its own, then those of its spaces.
    pub(super) fn extract(&self) -> impl Iterator<Item = Bytes> {
        std::iter::once(&self.keys.extract).chain(&self.extracts).cloned()
    }
}

/// Items of one slot and tenant, by their places; in the order asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) slot: u16,
    pub(super) tenant: usize,
    pub(super) items: Vec<usize>,
}

impl Plan {
    /// Plans calls of scripts.
    pub(super) fn new<'a>(keys: &Keys, cluster: bool, addresses: impl Iterator<Item = &'a Address>) -> Self {
        Self::of(keys, cluster, MOST, addresses)
    }

    /// Plans plain reads.
    pub(super) fn of_reads<'a>(keys: &Keys, cluster: bool, addresses: impl Iterator<Item = &'a Address>) -> Self {
        Self::of(keys, cluster, MOST_READ, addresses)
    }

    fn of<'a>(keys: &Keys, cluster: bool, most: usize, addresses: impl Iterator<Item = &'a Address>) -> Self {
        let mut plan =
            Self { places: Vec::with_capacity(addresses.size_hint().0), tenants: Vec::new(), groups: Vec::new() };
        let mut open: HashMap<(u16, usize), usize, RandomState> = HashMap::default();
        let (mut room, many) = (BytesMut::new(), addresses.size_hint().0);
        // Neighbours mostly go together.
        let mut last = None;
        for (item, address) in addresses.enumerate() {
            let (tenant, space) = plan.space(keys, address);
            let key = keys.value(address.stored(), &mut room, many.saturating_sub(item));
            // Where keys have no slots, all of a tenant go together, to the place of the first.
            let slot = if cluster { slot_of(&key) } else { 0 };
            let group = match last {
                Some((place, group)) if place == (slot, tenant) => group,
                _ => open.get(&(slot, tenant)).copied().unwrap_or(usize::MAX),
            };
            let group = if plan.groups.get(group).is_some_and(|group| group.items.len() < most) {
                plan.groups[group].items.push(item);
                group
            } else {
                let slot_of_group = if cluster { slot } else { slot_of(&key) };
                plan.groups.push(Group { slot: slot_of_group, tenant, items: vec![item] });
                open.insert((slot, tenant), plan.groups.len() - 1);
                plan.groups.len() - 1
            };
            last = Some(((slot, tenant), group));
            plan.places.push(Place { key, tenant, space });
        }
        plan
    }

    fn space(&mut self, keys: &Keys, address: &Address) -> (usize, usize) {
        let (name, space) = (address.tenant().unwrap_or_default(), address.keyspace());
        let tenant = match self.tenants.iter().position(|tenant| tenant.name == name) {
            Some(at) => at,
            None => {
                let keys = keys.tenant(name);
                let slot = slot_of(&keys.line);
                self.tenants.push(Tenant {
                    name: name.to_owned(),
                    keys,
                    slot,
                    spaces: Vec::new(),
                    extracts: Vec::new(),
                });
                self.tenants.len() - 1
            }
        };
        let Tenant { spaces, extracts, .. } = &mut self.tenants[tenant];
        let space = spaces.iter().position(|known| known == space).unwrap_or_else(|| {
            spaces.push(space.to_owned());
            extracts.push(keys.space(name, space));
            spaces.len() - 1
        });
        (tenant, space)
    }
}

#[cfg(test)]
mod tests {
    use memstache_core::{KeyspaceName, Space, TenantId};

    use super::*;

    fn plan(cluster: bool, names: &[(&str, &str)]) -> Plan {
        let addresses: Vec<_> = names
            .iter()
            .map(|(tenant, name)| {
                let tenant = TenantId::new(tenant).unwrap();
                Address::plain(&Space::new(Some(&tenant), &KeyspaceName::new("k").unwrap()), name).unwrap()
            })
            .collect();
        Plan::new(&Keys::new("ms:").unwrap(), cluster, addresses.iter())
    }

    #[test]
    fn one_server_takes_a_tenant_together_and_keeps_the_order() {
        let plan = plan(false, &[("a", "1"), ("b", "1"), ("a", "2"), ("a", "1")]);
        let items: Vec<_> = plan.groups.iter().map(|group| group.items.clone()).collect();
        assert_eq!(items, [vec![0, 2, 3], vec![1]]);
        assert_eq!(plan.tenants.len(), 2);
    }

    #[test]
    fn a_cluster_takes_a_slot_together() {
        let plan = plan(true, &[("a", "1"), ("a", "2"), ("a", "1")]);
        let items: Vec<_> = plan.groups.iter().map(|group| group.items.clone()).collect();
        assert_eq!(items, [vec![0, 2], vec![1]]);
        assert!(plan.groups.iter().all(|group| slot_of(&plan.places[group.items[0]].key) == group.slot));
    }

    #[test]
    fn scripts_stay_short() {
        let names: Vec<_> = (0..150).map(|n| n.to_string()).collect();
        let names: Vec<_> = names.iter().map(|name| ("a", name.as_str())).collect();
        let sizes: Vec<_> = plan(false, &names).groups.iter().map(|group| group.items.len()).collect();
        assert_eq!(sizes, [64, 64, 22]);
    }

    #[test]
    fn a_plain_read_takes_more_at_once() {
        let tenant = TenantId::new("a").unwrap();
        let space = Space::new(Some(&tenant), &KeyspaceName::new("k").unwrap());
        let addresses: Vec<_> = (0..300).map(|n| Address::plain(&space, n.to_string()).unwrap()).collect();
        let plan = Plan::of_reads(&Keys::new("ms:").unwrap(), false, addresses.iter());
        assert_eq!(plan.groups.iter().map(|group| group.items.len()).collect::<Vec<_>>(), [256, 44]);
    }
}
