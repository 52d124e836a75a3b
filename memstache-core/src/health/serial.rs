//! Health for machines.

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeStruct},
};

use super::{Condition, HealthReport, HealthValue, PartHealth};
use crate::util::whole_millis;

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for HealthReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("HealthReport", 2)?;
        out.serialize_field("condition", &self.condition)?;
        out.serialize_field("parts", &self.parts)?;
        out.end()
    }
}

impl Serialize for PartHealth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("PartHealth", 5)?;
        out.serialize_field("part", &self.part)?;
        out.serialize_field("condition", &self.condition)?;
        out.serialize_field("since_ms", &self.since.map(whole_millis))?;
        out.serialize_field("reason", &self.reason)?;
        out.serialize_field("values", &Values(self))?;
        out.end()
    }
}

/// The values as one map.
struct Values<'a>(&'a PartHealth);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(self.0.values.len()))?;
        for (name, value) in &self.0.values {
            out.serialize_entry(name, value)?;
        }
        out.end()
    }
}

impl Serialize for HealthValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
        }
    }
}
