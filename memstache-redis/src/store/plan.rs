//! Which items go to which server in one call.

use std::collections::HashMap;

use bytes::Bytes;
use foldhash::fast::RandomState;
use memstache_core::Address;

use crate::{
    client::slot_of,
    layout::{EntryKeys, Keys, TenantKeys},
};

/// Items that one script takes at most: a script holds up everything else of its server.
const MOST: usize = 64;

/// The items of a call, by where they lie.
pub(super) struct Plan {
    pub(super) places: Vec<Place>,
    pub(super) tenants: Vec<Tenant>,
    pub(super) groups: Vec<Group>,
}

/// Where an item lies.
pub(super) struct Place {
    pub(super) keys: EntryKeys,
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
    pub(super) fn new<'a>(keys: &Keys, cluster: bool, addresses: impl Iterator<Item = &'a Address>) -> Self {
        let mut plan = Self { places: Vec::new(), tenants: Vec::new(), groups: Vec::new() };
        let mut open: HashMap<(u16, usize), usize, RandomState> = HashMap::default();
        for (item, address) in addresses.enumerate() {
            let (tenant, space) = plan.space(keys, address);
            let entry = keys.entry(address.stored());
            let slot = slot_of(&entry.value);
            plan.places.push(Place { keys: entry, tenant, space });
            // Where keys have no slots, all of a tenant go together.
            let group = *open.entry((if cluster { slot } else { 0 }, tenant)).or_insert(usize::MAX);
            match plan.groups.get_mut(group).filter(|group| group.items.len() < MOST) {
                Some(group) => group.items.push(item),
                None => {
                    open.insert((if cluster { slot } else { 0 }, tenant), plan.groups.len());
                    plan.groups.push(Group { slot, tenant, items: vec![item] });
                }
            }
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
        assert!(plan.groups.iter().all(|group| slot_of(&plan.places[group.items[0]].keys.value) == group.slot));
    }

    #[test]
    fn scripts_stay_short() {
        let names: Vec<_> = (0..150).map(|n| n.to_string()).collect();
        let names: Vec<_> = names.iter().map(|name| ("a", name.as_str())).collect();
        let sizes: Vec<_> = plan(false, &names).groups.iter().map(|group| group.items.len()).collect();
        assert_eq!(sizes, [64, 64, 22]);
    }
}
