//! Explanations for machines.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{EntryExplained, Explanation, TierExplained};
use crate::{cache::Outcome, error::ErrorKind, request::Reason, util::whole_millis};

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Explanation", 5)?;
        out.serialize_field("outcome", self.outcome.map_or("error", Outcome::as_str))?;
        out.serialize_field("tier", &self.tier)?;
        out.serialize_field("reason", &self.reason.map(Reason::as_str))?;
        out.serialize_field("error", &self.error.map(ErrorKind::as_str))?;
        out.serialize_field("tiers", &self.tiers)?;
        out.end()
    }
}

impl Serialize for TierExplained {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("TierExplained", 5)?;
        out.serialize_field("tier", &self.tier)?;
        out.serialize_field("outcome", &self.outcome.map(Outcome::as_str))?;
        out.serialize_field("reason", &self.reason.map(Reason::as_str))?;
        out.serialize_field("entry", &self.entry)?;
        out.serialize_field("loading", &self.loading)?;
        out.end()
    }
}

impl Serialize for EntryExplained {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("EntryExplained", 15)?;
        out.serialize_field("version", &self.version.0)?;
        out.serialize_field("age_ms", &whole_millis(self.age))?;
        out.serialize_field("confirmed_ms", &whole_millis(self.confirmed))?;
        out.serialize_field("fresh_for_ms", &self.fresh_for.map(whole_millis))?;
        out.serialize_field("served_for_ms", &self.served_for.map(whole_millis))?;
        out.serialize_field("dead_for_ms", &whole_millis(self.dead_for))?;
        out.serialize_field("sliding_ms", &self.sliding.map(whole_millis))?;
        out.serialize_field("load_cost_ms", &whole_millis(self.load_cost))?;
        out.serialize_field("bytes", &self.bytes)?;
        out.serialize_field("tags", &self.tags)?;
        out.serialize_field("format", &self.format.0)?;
        // As text: 64 bits are more than numbers of JavaScript hold.
        out.serialize_field("schema", &self.schema.map(|schema| format!("{:016x}", schema.0)))?;
        out.serialize_field("encoding", &self.encoding.0)?;
        out.serialize_field("sealed", &self.sealed)?;
        out.serialize_field("negative", &self.negative)?;
        out.end()
    }
}
