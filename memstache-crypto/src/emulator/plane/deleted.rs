//! Soft delete: what is deleted can be recovered for 90 days, or purged at once.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Context, Failure, Item, Name, Object, Plane};
use crate::emulator::attributes::RECOVERABLE_DAYS;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
pub(super) struct Deleted<T> {
    pub(super) object: Object<T>,
    /// Seconds since 1970.
    at: i64,
}

impl<T: Item> Deleted<T> {
    fn purged_at(&self) -> i64 {
        self.at.saturating_add(RECOVERABLE_DAYS * 24 * 3600)
    }

    fn bundle(&self, base: &str) -> Value {
        self.with_recovery(base, self.object.bundle(base, self.object.newest()))
    }

    pub(super) fn with_recovery(&self, base: &str, mut json: Value) -> Value {
        json["recoveryId"] = format!("{base}/deleted{}/{}", T::PATH, self.object.name).into();
        json["deletedDate"] = self.at.into();
        json["scheduledPurgeDate"] = self.purged_at().into();
        json
    }
}

impl<T: Item> Plane<T> {
    /// Forgets what was deleted long ago.
    pub(in super::super) fn expire(&mut self, now: i64) -> bool {
        let before = self.deleted.len();
        self.deleted.retain(|_, deleted| now < deleted.purged_at());
        self.deleted.len() != before
    }

    pub(in super::super) fn delete(&mut self, name: &Name, context: &Context<'_>) -> Result<Value, Failure> {
        self.object(name)?;
        let object = self.objects.remove(&name.folded()).expect("it was just found");
        let deleted = self.deleted.entry(name.folded()).or_insert(Deleted { object, at: context.now });
        Ok(deleted.bundle(context.base))
    }

    pub(in super::super) fn get_deleted(&self, name: &Name, context: &Context<'_>) -> Result<Value, Failure> {
        let found = self.deleted.get(&name.folded());
        found.map(|deleted| deleted.bundle(context.base)).ok_or_else(|| no_deleted::<T>(name))
    }

    pub(in super::super) fn recover(&mut self, name: &Name, context: &Context<'_>) -> Result<Value, Failure> {
        let deleted = self.deleted.remove(&name.folded()).ok_or_else(|| no_deleted::<T>(name))?;
        let object = self.objects.entry(name.folded()).or_insert(deleted.object);
        Ok(object.bundle(context.base, object.newest()))
    }

    pub(in super::super) fn purge(&mut self, name: &Name) -> Result<(), Failure> {
        self.deleted.remove(&name.folded()).map(drop).ok_or_else(|| no_deleted::<T>(name))
    }

    /// A name that is deleted is taken until it is recovered or purged.
    pub(super) fn refuse_deleted(&self, name: &Name) -> Result<(), Failure> {
        if !self.deleted.contains_key(&name.folded()) {
            return Ok(());
        }
        let message = format!(
            "{} {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the \
             {} can only be recovered or purged.",
            T::KIND,
            T::KIND.to_ascii_lowercase(),
        );
        Err(Failure::conflict(message, Some("ObjectIsDeletedButRecoverable")))
    }
}

fn no_deleted<T: Item>(name: &Name) -> Failure {
    Failure::new(404, T::NOT_FOUND, format!("Deleted {} not found: {name}", T::KIND))
}
