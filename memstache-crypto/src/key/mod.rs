//! Keys: secrets, what is prepared from them, and where a layer gets them.

mod data;
mod fixed;
mod id;
mod name;
mod secret;
mod source;

pub use self::{
    data::DataKey,
    fixed::FixedKeys,
    id::KeyId,
    name::NameKey,
    secret::Secret,
    source::{DataKeys, KeyFailure, KeyLookup},
};

/// The labels under which keys are derived: one for each purpose, so that no value serves two.
pub(crate) mod label {
    pub(crate) const KEY_ID: &[u8] = b"mst1/key-id";
    pub(crate) const ENTRY: &[u8] = b"mst1/entry";
    pub(crate) const NAME: &[u8] = b"mst1/name";
    pub(crate) const TENANT_TAG: &[u8] = b"mst1/tenant-tag";
}
