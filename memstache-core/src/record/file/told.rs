//! What the watchers of a directory have been told, and what they have to be told next.

use std::collections::BTreeMap;

use super::directory::{Directory, Shared};
use crate::{
    error::Result,
    record::{Record, RecordEvent, RecordKey, RecordPrefix, watch::Hub},
};

/// The state of the directory that the watchers know; nothing as long as there are none.
#[derive(Debug, Default)]
pub(super) struct Told(Option<Known>);

#[derive(Debug)]
struct Known {
    /// As long as the directory's is the same, nothing has changed.
    sequence: u64,
    records: BTreeMap<RecordKey, u64>,
    /// Watchers had a gap because the directory cannot be read; one is enough.
    blind: bool,
}

impl Told {
    /// Prepares for a watcher: what is there now is known to it, all that comes is news.
    pub(super) fn begin(&mut self, directory: &Directory, lock: &Shared, hub: &Hub) -> Result<()> {
        if self.0.is_none() || !hub.is_watched() {
            self.0 = Some(Known::read(directory, lock)?);
        }
        self.catch_up(directory, lock, hub);
        Ok(())
    }

    /// Tells what others have changed since. Before every change of our own, so that the order is kept.
    pub(super) fn catch_up(&mut self, directory: &Directory, lock: &Shared, hub: &Hub) {
        let Some(known) = &mut self.0 else { return };
        match known.news(directory, lock) {
            Ok(events) => events.into_iter().for_each(|event| hub.publish(event)),
            Err(error) if !known.blind => {
                known.blind = true;
                tracing::warn!(kind = error.kind().as_str(), %error, "a watched record directory cannot be read");
                hub.publish(RecordEvent::Gap);
            }
            Err(_) => {}
        }
    }

    /// Whether there is nothing to catch up with. Needs no lock: the sequence is on disk before what it numbers.
    pub(super) fn is_current(&self, directory: &Directory) -> bool {
        self.0.as_ref().is_none_or(|known| !known.blind && directory.sequence().is_ok_and(|now| now == known.sequence))
    }

    /// Tells of a record that was just written.
    pub(super) fn put(&mut self, hub: &Hub, key: RecordKey, record: Record) {
        if let Some(known) = &mut self.0 {
            known.sequence = record.sequence;
            known.records.insert(key.clone(), record.sequence);
        }
        hub.publish(RecordEvent::Put { key, record });
    }

    /// Tells of a record that was just removed.
    pub(super) fn removed(&mut self, hub: &Hub, key: RecordKey, sequence: u64) {
        if let Some(known) = &mut self.0 {
            known.sequence = sequence;
            known.records.remove(&key);
        }
        hub.publish(RecordEvent::Removed { key, sequence });
    }

    #[cfg(test)]
    pub(super) fn is_nothing(&self) -> bool {
        self.0.is_none()
    }

    /// Forgets what nobody is told any more.
    pub(super) fn end_if_unwatched(&mut self, hub: &Hub) {
        if !hub.is_watched() {
            self.0 = None;
        }
    }
}

impl Known {
    fn read(directory: &Directory, lock: &Shared) -> Result<Self> {
        let records = directory.scan(lock, &RecordPrefix::ALL)?;
        let records = records.into_iter().map(|(key, record)| (key, record.sequence)).collect();
        Ok(Self { sequence: directory.sequence()?, records, blind: false })
    }

    /// The difference to the directory, in order of the sequence; from here on it is known.
    fn news(&mut self, directory: &Directory, lock: &Shared) -> Result<Vec<RecordEvent>> {
        let sequence = directory.sequence()?;
        if sequence == self.sequence && !self.blind {
            return Ok(Vec::new());
        }
        let found = directory.scan(lock, &RecordPrefix::ALL)?;
        let now = found.iter().map(|(key, record)| (key.clone(), record.sequence)).collect();
        let before = std::mem::replace(&mut self.records, now);
        (self.sequence, self.blind) = (sequence, false);

        let is_new = |(key, record): &(RecordKey, Record)| before.get(key) != Some(&record.sequence);
        let mut put: Vec<_> = found.into_iter().filter(is_new).collect();
        put.sort_unstable_by_key(|(_, record)| record.sequence);
        // Removals come last: they are numbered by what the store has reached.
        let gone = before.into_keys().filter(|key| !self.records.contains_key(key));
        let gone = gone.map(|key| RecordEvent::Removed { key, sequence });
        Ok(put.into_iter().map(|(key, record)| RecordEvent::Put { key, record }).chain(gone).collect())
    }
}
