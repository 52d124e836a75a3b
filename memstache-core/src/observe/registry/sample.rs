//! One series as it stands.

use std::sync::Arc;

use super::histogram::Buckets;
use crate::observe::{Attribute, Instrument};

/// One series of an instrument.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) instrument: &'static Instrument,
    /// The value of [`Attribute::Cache`] or [`Attribute::Tenant`], if the instrument has one of them.
    pub(crate) name: Option<Arc<str>>,
    /// The values of the other attributes, in the instrument's order.
    pub(crate) words: Vec<&'static str>,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Number(u64),
    Times(Box<Buckets>),
}

impl Sample {
    /// Its attributes, in the instrument's order, without those that do not apply: their values are empty.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (Attribute, &str)> {
        let mut words = self.words.iter();
        let name = self.name.as_deref().unwrap_or_default();
        let value = move |attribute: &Attribute| match attribute {
            Attribute::Cache | Attribute::Tenant => name,
            _ => words.next().copied().unwrap_or_default(),
        };
        let all = self.instrument.attributes.iter().copied().zip(self.instrument.attributes.iter().map(value));
        all.filter(|(_, value)| !value.is_empty())
    }
}
