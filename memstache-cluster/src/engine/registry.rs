//! The keyspaces of a node.

use std::{collections::BTreeMap, sync::Arc};

use memstache_core::{KeyspaceName, Result, Sequence};
use parking_lot::{Mutex, RwLock};

use super::{EngineError, EventBus, KeySpaceChange, slot::Slot};
use crate::{
    keyspace::{Definition, KeySpace},
    member::{Incarnation, NodeId},
    owner::{Local, Surroundings},
    registry::{Changes, KeySpaceStatus, Ledger, MOST_KEYSPACES},
    wire::RegistryRecord,
};

/// The keyspaces of a node, by name: what the nodes agree on, what this node was given, and what it serves.
pub(crate) struct Registry {
    slots: RwLock<BTreeMap<Box<str>, Arc<Slot>>>,
    /// Keeps changes in one order.
    law: Mutex<Law>,
    around: Surroundings,
}

struct Law {
    ledger: Ledger,
    /// As they were given to this node: settings may be others' since, code is this node's.
    own: BTreeMap<Box<str>, KeySpace>,
}

/// What came of records of another node.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) applied: Changes,
    /// What the other lacks.
    pub(crate) behind: Vec<RegistryRecord>,
    /// Records that could not be taken in.
    pub(crate) refused: usize,
}

impl Registry {
    pub(crate) fn new(around: Surroundings, me: NodeId, life: Incarnation) -> Self {
        let law = Law { ledger: Ledger::new(me, life), own: BTreeMap::new() };
        Self { slots: RwLock::default(), law: Mutex::new(law), around }
    }

    /// Returns who is told of what happens.
    pub(crate) fn events(&self) -> Arc<EventBus> {
        Arc::clone(&self.around.events)
    }

    /// Returns whether anybody is told of calls.
    pub(crate) fn records(&self) -> bool {
        self.around.recorder.is_some()
    }

    /// Finds a keyspace.
    pub(crate) fn slot(&self, name: &str) -> Result<Arc<Slot>> {
        self.slots.read().get(name).cloned().ok_or_else(|| EngineError::KeyspaceNotFound.into())
    }

    /// Returns the keyspaces that this node serves, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Local>> {
        self.slots.read().values().filter_map(|slot| slot.current().ok()).collect()
    }

    /// Returns what is known of the keyspaces that there are, by name.
    pub(crate) fn statuses(&self, is_member: impl Fn(NodeId) -> bool) -> Vec<KeySpaceStatus> {
        let law = self.law.lock();
        let status = |record: &RegistryRecord| KeySpaceStatus {
            name: record.keyspace.clone(),
            keyspace: self.current(&record.keyspace).map(|local| local.spec.clone()),
            version: record.version,
            created_by: record.created_by,
            changed_by: record.by,
            dissenters: law.dissenters(record, &is_member),
        };
        law.ledger.all_live().map(status).collect()
    }

    /// Returns how often nodes were found to define a keyspace in different ways.
    pub(crate) fn conflicts(&self, name: &str) -> u64 {
        self.law.lock().ledger.conflicts(name)
    }

    /// Returns all that is known, and a number that two nodes share if they know the same.
    pub(crate) fn known(&self) -> (Vec<RegistryRecord>, u64) {
        let law = self.law.lock();
        (law.ledger.records(), law.ledger.digest())
    }

    /// Returns the record of a keyspace, deleted or not.
    pub(crate) fn record(&self, name: &str) -> Option<RegistryRecord> {
        self.law.lock().ledger.get(name).cloned()
    }

    /// Adds a keyspace. One that the cluster has, and that this node could not serve for want of a source, is served from now on.
    pub(crate) fn create(&self, spec: KeySpace) -> Result<KeySpaceChange> {
        let law = &mut *self.law.lock();
        let name = spec.name().clone();
        if self.current(&name).is_some() {
            return Err(EngineError::KeyspaceExists.into());
        }
        let slot = self.place(&name)?;
        let Some(body) = law.ledger.live(name.as_str()).and_then(|record| record.body.clone()) else {
            slot.set(Some(Arc::new(Local::new(spec.clone(), &self.around, None)?)));
            law.ledger.write(&name, Some(spec.definition())).inspect_err(|_| drop(slot.set(None)))?;
            law.own.insert(name.as_str().into(), spec);
            return Ok(KeySpaceChange::Created);
        };
        let differs = body != spec.definition();
        law.own.insert(name.as_str().into(), spec);
        let change = self.apply(law, &name)?.unwrap_or(KeySpaceChange::Created);
        if differs && law.ledger.dissent(name.as_str()) {
            return Ok(KeySpaceChange::Conflict);
        }
        Ok(change)
    }

    /// Puts a keyspace in the place of the one of its name; requests under way end on the old one.
    pub(crate) fn update(&self, spec: KeySpace) -> Result<()> {
        let law = &mut *self.law.lock();
        let name = spec.name().clone();
        law.ledger.live(name.as_str()).ok_or(EngineError::KeyspaceNotFound)?;
        let slot = self.place(&name)?;
        let old = slot.current().ok();
        let local = Local::new(spec.clone(), &self.around, old.as_deref())?;
        law.ledger.write(&name, Some(spec.definition()))?;
        slot.set(Some(Arc::new(local)));
        law.own.insert(name.as_str().into(), spec);
        Ok(())
    }

    /// Takes a keyspace out, with all that it holds.
    pub(crate) fn delete(&self, name: &str) -> Result<KeyspaceName> {
        let law = &mut *self.law.lock();
        let record = law.ledger.live(name).ok_or(EngineError::KeyspaceNotFound)?;
        let name = record.keyspace.clone();
        law.ledger.write(&name, None)?;
        self.take_out(law, &name);
        Ok(name)
    }

    /// Takes what another node knows.
    pub(crate) fn hear(&self, records: Vec<RegistryRecord>) -> Heard {
        let law = &mut *self.law.lock();
        let mut heard = Heard::default();
        for record in records {
            let (keyspace, flushed) = (record.keyspace.clone(), record.flushed);
            let Ok(merged) = law.ledger.merge(record) else {
                heard.refused += 1;
                continue;
            };
            let mut note = |change| heard.applied.push((keyspace.clone(), change));
            if merged.conflict {
                note(KeySpaceChange::Conflict);
            }
            if merged.changed {
                match self.apply(law, &keyspace) {
                    Ok(change) => change.into_iter().for_each(&mut note),
                    Err(error) => {
                        tracing::warn!(
                            keyspace = keyspace.as_str(),
                            error = %error,
                            "a keyspace of the cluster cannot be served"
                        );
                        note(KeySpaceChange::Undefined);
                    }
                }
            }
            if merged.flushed
                && let Some(local) = self.current(&keyspace)
            {
                // An error means that some of what is held is younger, and is to stay.
                let _ = local.flush_at(flushed);
                note(KeySpaceChange::Flushed);
            }
            if merged.behind {
                heard.behind.extend(law.ledger.get(keyspace.as_str()).cloned());
            }
        }
        heard
    }

    /// Takes note that everything of a keyspace was hidden.
    pub(crate) fn flushed(&self, name: &str, at: Sequence) {
        self.law.lock().ledger.flushed(name, at);
    }

    /// Has this node serve a keyspace as its record says.
    fn apply(&self, law: &mut Law, name: &KeyspaceName) -> Result<Option<KeySpaceChange>> {
        let old = self.current(name);
        let Some(body) = law.ledger.live(name.as_str()).and_then(|record| record.body.clone()) else {
            self.take_out(law, name);
            return Ok(old.map(|_| KeySpaceChange::Deleted));
        };
        let own = law.own.get(name.as_str());
        let spec = match own.filter(|own| own.definition() == body) {
            Some(own) => Some(own.clone()),
            None => Definition::read(name, &body)?.with_code_of(own)?,
        };
        let Some(spec) = spec else {
            if let Ok(slot) = self.slot(name.as_str()) {
                slot.set(None);
            }
            return Ok(Some(KeySpaceChange::Undefined));
        };
        let local = Arc::new(Local::new(spec, &self.around, old.as_deref())?);
        self.place(name)?.set(Some(local));
        Ok(Some(if old.is_some() { KeySpaceChange::Updated } else { KeySpaceChange::Created }))
    }

    fn take_out(&self, law: &mut Law, name: &KeyspaceName) {
        law.own.remove(name.as_str());
        if let Ok(slot) = self.slot(name.as_str()) {
            slot.set(None);
        }
    }

    fn current(&self, name: &KeyspaceName) -> Option<Arc<Local>> {
        self.slot(name.as_str()).ok()?.current().ok()
    }

    fn place(&self, name: &KeyspaceName) -> Result<Arc<Slot>> {
        let mut slots = self.slots.write();
        if let Some(slot) = slots.get(name.as_str()) {
            return Ok(Arc::clone(slot));
        }
        if slots.len() >= MOST_KEYSPACES {
            // Whoever holds one sees the keyspace when it is created anew.
            slots.retain(|_, slot| slot.current().is_ok() || Arc::strong_count(slot) > 1);
        }
        if slots.len() >= MOST_KEYSPACES {
            return Err(EngineError::TooManyKeyspaces.into());
        }
        let slot = Arc::new(Slot::new(name.clone()));
        slots.insert(name.as_str().into(), Arc::clone(&slot));
        Ok(slot)
    }
}

impl Law {
    /// Who defines the present version in another way: this node itself, and those that it heard of and that are there.
    fn dissenters(&self, record: &RegistryRecord, is_member: &impl Fn(NodeId) -> bool) -> Vec<NodeId> {
        let name = record.keyspace.as_str();
        self.ledger.dissenters(name).iter().copied().filter(|node| is_member(*node)).collect()
    }
}
