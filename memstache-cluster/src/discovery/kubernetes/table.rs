//! What a watch has told so far.

use std::{collections::BTreeMap, net::SocketAddr};

use kube::{Resource, runtime::watcher::Event};

use super::peers::{Peers, Port};

/// The most addresses that are kept in mind.
pub(super) const MAX: usize = 4096;

/// Addresses by the names of the objects that stand for them.
#[derive(Debug, Default)]
pub(super) struct Table {
    objects: BTreeMap<String, Vec<SocketAddr>>,
    /// A list that is not whole yet: until it is, the one before it stands.
    listing: Option<BTreeMap<String, Vec<SocketAddr>>>,
    told: Vec<SocketAddr>,
}

impl Table {
    /// Takes an event; returns all addresses if they are others now.
    pub(super) fn take<K: Peers + Resource>(&mut self, event: Event<K>, port: &Port) -> Option<Vec<SocketAddr>> {
        match event {
            Event::Init => {
                self.listing = Some(BTreeMap::new());
                return None;
            }
            Event::InitApply(object) => {
                let listing = self.listing.get_or_insert_default();
                add(listing, &object, port);
                return None;
            }
            Event::InitDone => self.objects = self.listing.take().unwrap_or_default(),
            Event::Apply(object) => add(&mut self.objects, &object, port),
            Event::Delete(object) => {
                self.objects.remove(name(&object));
            }
        }
        let mut now: Vec<_> = self.objects.values().flatten().copied().collect();
        now.sort_unstable();
        now.dedup();
        now.truncate(MAX);
        (now != self.told).then(|| {
            self.told.clone_from(&now);
            now
        })
    }
}

fn add<K: Peers + Resource>(objects: &mut BTreeMap<String, Vec<SocketAddr>>, object: &K, port: &Port) {
    let (name, mut peers) = (name(object), object.peers(port));
    peers.truncate(MAX);
    if peers.is_empty() {
        objects.remove(name);
    } else if objects.len() < MAX || objects.contains_key(name) {
        objects.insert(name.to_owned(), peers);
    }
}

fn name<K: Resource>(object: &K) -> &str {
    object.meta().name.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    fn pod(name: &str, ip: &str) -> Pod {
        let json =
            format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{{"containers":[]}},"status":{{"podIP":"{ip}"}}}}"#);
        serde_json::from_str(&json).unwrap()
    }

    fn take(table: &mut Table, event: Event<Pod>) -> Option<Vec<String>> {
        let told = table.take(event, &Port::Number(1))?;
        Some(told.iter().map(|at| at.ip().to_string()).collect())
    }

    #[test]
    fn pods_come_change_and_go() {
        let mut table = Table::default();
        assert_eq!(take(&mut table, Event::Init), None);
        assert_eq!(take(&mut table, Event::InitApply(pod("a", "10.0.0.1"))), None);
        assert_eq!(take(&mut table, Event::InitDone).unwrap(), ["10.0.0.1"]);
        assert_eq!(take(&mut table, Event::Apply(pod("b", ""))), None, "no address yet");
        assert_eq!(take(&mut table, Event::Apply(pod("b", "10.0.0.2"))).unwrap(), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(take(&mut table, Event::Apply(pod("b", "10.0.0.2"))), None, "nothing new");
        assert_eq!(take(&mut table, Event::Apply(pod("a", "10.0.0.9"))).unwrap(), ["10.0.0.2", "10.0.0.9"]);
        assert_eq!(take(&mut table, Event::Delete(pod("b", "10.0.0.2"))).unwrap(), ["10.0.0.9"]);
        assert_eq!(take(&mut table, Event::Delete(pod("c", ""))), None, "never known");
    }

    #[test]
    fn a_new_list_takes_the_place_of_the_old_one_when_it_is_whole() {
        let mut table = Table::default();
        for event in [Event::Init, Event::InitApply(pod("a", "10.0.0.1")), Event::InitDone] {
            take(&mut table, event);
        }
        for event in [Event::Init, Event::InitApply(pod("b", "10.0.0.2")), Event::Init] {
            assert_eq!(take(&mut table, event), None, "broken off and begun anew");
        }
        assert_eq!(take(&mut table, Event::InitApply(pod("c", "10.0.0.3"))), None);
        assert_eq!(take(&mut table, Event::InitDone).unwrap(), ["10.0.0.3"]);
    }
}
