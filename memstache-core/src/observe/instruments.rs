//! The one table of what is measured: names, kinds, units, attributes.

use std::fmt;

use super::{CallResult, Ending, Fill, OperationKind, Rejection, Resource, Tier, recorder::PANIC};
use crate::error::ErrorKind;

/// One instrument of the table.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Instrument {
    /// As OpenTelemetry writes it: with dots.
    pub name: &'static str,
    /// What it is.
    pub kind: InstrumentKind,
    /// In the notation of UCUM: `s`, `By`, or a counted thing in braces.
    pub unit: &'static str,
    /// By what it is told apart.
    pub attributes: &'static [Attribute],
    /// What it measures.
    pub description: &'static str,
}

/// What an instrument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstrumentKind {
    /// A sum that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// How many measurements fell into which bucket, and their sum.
    Histogram,
}

impl fmt::Display for InstrumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// By what measurements are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attribute {
    /// `memstache.cache`: the name that the recorder was made with.
    Cache,
    /// `memstache.outcome`: [`Ending`].
    Outcome,
    /// `memstache.operation`: [`OperationKind`].
    Operation,
    /// `memstache.result` of a call: [`CallResult`].
    CallResult,
    /// `memstache.result` of a load.
    LoadResult,
    /// `memstache.result` of a fill: [`Fill`].
    Fill,
    /// `memstache.reason`: [`Rejection`].
    Reason,
    /// `memstache.tier`: [`Tier`].
    Tier,
    /// `error.type`: [`ErrorKind`], or `panic`.
    ErrorType,
    /// `memstache.signal`: what was to be exported.
    Signal,
    /// `memstache.tenant`: one of few tenants, all others together, or the shared space.
    Tenant,
    /// `memstache.resource`: [`Resource`].
    Resource,
    /// `memstache.breaker`: what a breaker stands in front of.
    Breaker,
    /// `memstache.state` of a breaker.
    BreakerState,
    /// `memstache.limit`: what is bounded.
    Limit,
    /// `db.system.name`: which database a store stands on.
    DbSystem,
    /// `db.operation.name`: the command, as the database calls it.
    DbOperation,
    /// `db.stored_procedure.name`: the script that a command runs, if any.
    DbProcedure,
    /// `error.type` of a command: what the store calls it.
    DbErrorType,
}

/// How loads end.
pub(super) const LOAD_RESULTS: &[&str] = &["ok", "error"];

/// What breakers stand in front of.
pub(super) const BREAKERS: &[&str] = &["store", "source"];

/// The states of breakers.
pub(super) const BREAKER_STATES: &[&str] = &["closed", "open", "half_open"];

/// What limits bound.
pub(super) const LIMITS: &[&str] = &["calls", "bytes", "rate"];

/// What is exported.
pub(crate) const SIGNALS: &[&str] = &["traces", "metrics"];

impl Attribute {
    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cache => "memstache.cache",
            Self::Outcome => "memstache.outcome",
            Self::Operation => "memstache.operation",
            Self::CallResult | Self::LoadResult | Self::Fill => "memstache.result",
            Self::Reason => "memstache.reason",
            Self::Tier => "memstache.tier",
            Self::ErrorType | Self::DbErrorType => "error.type",
            Self::Signal => "memstache.signal",
            Self::Tenant => "memstache.tenant",
            Self::Resource => "memstache.resource",
            Self::Breaker => "memstache.breaker",
            Self::BreakerState => "memstache.state",
            Self::Limit => "memstache.limit",
            Self::DbSystem => "db.system.name",
            Self::DbOperation => "db.operation.name",
            Self::DbProcedure => "db.stored_procedure.name",
        }
    }

    /// Returns all values that it can have; `None` for the names that the application or the store gives.
    pub fn values(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Cache | Self::Tenant | Self::DbSystem | Self::DbOperation | Self::DbProcedure | Self::DbErrorType => {
                None
            }
            Self::Outcome => Some(Ending::ALL.iter().map(|it| it.as_str()).collect()),
            Self::Operation => Some(OperationKind::ALL.iter().map(|it| it.as_str()).collect()),
            Self::CallResult => Some(CallResult::NAMES.to_vec()),
            Self::LoadResult => Some(LOAD_RESULTS.to_vec()),
            Self::Fill => Some(Fill::ALL.iter().map(|it| it.as_str()).collect()),
            Self::Reason => Some(Rejection::ALL.iter().map(|it| it.as_str()).collect()),
            Self::Tier => Some(Tier::ALL.iter().map(|it| it.as_str()).collect()),
            Self::ErrorType => Some(ErrorKind::ALL.iter().map(|it| it.as_str()).chain([PANIC]).collect()),
            Self::Signal => Some(SIGNALS.to_vec()),
            Self::Resource => Some(Resource::ALL.iter().map(|it| it.as_str()).collect()),
            Self::Breaker => Some(BREAKERS.to_vec()),
            Self::BreakerState => Some(BREAKER_STATES.to_vec()),
            Self::Limit => Some(LIMITS.to_vec()),
        }
    }
}

macro_rules! instruments {
    ($($const:ident = $name:literal, $kind:ident, $unit:literal, [$($attribute:ident),*], $description:literal;)*) => {
        $(
            pub(crate) const $const: &Instrument = &Instrument {
                name: $name,
                kind: InstrumentKind::$kind,
                unit: $unit,
                attributes: &[$(Attribute::$attribute),*],
                description: $description,
            };
        )*

        /// Every instrument, as the table above lists them.
        pub const INSTRUMENTS: &[&Instrument] = &[$($const),*];
    };
}

instruments! {
    REQUESTS = "memstache.requests", Counter, "{request}", [Cache, Outcome],
        "Keys asked for through the handle, near hits included, each counted once";
    OPERATION_DURATION = "memstache.operation.duration", Histogram, "s", [Cache, Operation, CallResult],
        "Calls that went through the stack";
    OPERATION_ERRORS = "memstache.operation.errors", Counter, "{error}", [Cache, Operation, ErrorType],
        "Calls that failed, or one of whose items did, by the kind of the first error";
    LOAD_DURATION = "memstache.load.duration", Histogram, "s", [Cache, LoadResult],
        "Loads, one for each key of a batch";
    LOADS_DEGRADED = "memstache.loads.degraded", Counter, "{load}", [Cache],
        "Loads begun because the store could not be reached; their values are not stored";
    LOADS_JOINED = "memstache.loads.joined", Counter, "{request}", [Cache],
        "Requests that waited for a load that another one had begun in the same process";
    FILLS = "memstache.fills", Counter, "{value}", [Cache, Fill],
        "Loaded values that were to be stored";
    REJECTED = "memstache.rejected", Counter, "{value}", [Cache, Reason],
        "Stored values that could not be used";
    TIER_ENTRIES = "memstache.tier.entries", Gauge, "{entry}", [Cache, Tier],
        "Entries held";
    TIER_SIZE = "memstache.tier.size", Gauge, "By", [Cache, Tier],
        "Bytes held, overhead included";
    TIER_HITS = "memstache.tier.hits", Counter, "{request}", [Cache, Tier],
        "Reads that the tier answered with a value";
    TIER_EVICTIONS = "memstache.tier.evictions", Counter, "{entry}", [Cache, Tier],
        "Entries that went for want of room";
    BREAKER_STATE = "memstache.breaker.state", Gauge, "{breaker}", [Cache, Breaker, BreakerState],
        "1 for the state that a breaker is in, 0 for the others";
    BREAKER_OPENED = "memstache.breaker.opened", Counter, "{opening}", [Cache, Breaker],
        "How often a breaker went from closed to open";
    BREAKER_REFUSED = "memstache.breaker.refused", Counter, "{call}", [Cache, Breaker],
        "Calls that a breaker refused";
    SHED = "memstache.shed", Counter, "{call}", [Cache, Limit],
        "Calls that were refused because a limit was reached";
    RETRIES = "memstache.retries", Counter, "{attempt}", [Cache],
        "Attempts that repeated one that had failed";
    TIMEOUTS = "memstache.timeouts", Counter, "{attempt}", [Cache],
        "Attempts that were cut off because they took too long";
    DB_OPERATION_DURATION = "db.client.operation.duration", Histogram, "s", [Cache, DbSystem, DbOperation, DbProcedure, DbErrorType],
        "Commands that a store sent to its database";
    TENANT_OPERATIONS = "memstache.tenant.operations", Counter, "{operation}", [Tenant],
        "Operations of a tenant that went through its quota, one for each key";
    TENANT_REFUSED = "memstache.tenant.refused", Counter, "{operation}", [Tenant, Resource],
        "What a tenant was refused over its quota";
    TENANT_SIZE = "memstache.tenant.size", Gauge, "By", [Tenant],
        "Bytes that a tenant holds";
    TENANT_ENTRIES = "memstache.tenant.entries", Gauge, "{entry}", [Tenant],
        "Entries that a tenant holds";
    TENANT_LOADS = "memstache.tenant.loads", Gauge, "{load}", [Tenant],
        "Loads of a tenant that are running";
    TELEMETRY_DROPPED = "memstache.telemetry.dropped", Counter, "{item}", [Signal],
        "Spans, and exports of metrics, that a collector did not get, once for each collector";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line of the table in the docs.
    fn line(instrument: &Instrument) -> String {
        let Instrument { name, kind, unit, attributes, description } = instrument;
        let attributes: Vec<_> = attributes.iter().map(|attribute| format!("`{}`", attribute.name())).collect();
        format!("| `{name}` | {kind} | `{unit}` | {} | {description} |", attributes.join(", "))
    }

    #[test]
    fn the_table_in_the_docs_is_this_one() {
        let docs = include_str!("README.md");
        let told: Vec<_> =
            docs.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 6).collect();
        let ours: Vec<_> = INSTRUMENTS.iter().map(|instrument| line(instrument)).collect();
        assert_eq!(told, ours, "\n{}", ours.join("\n"));
    }

    #[test]
    fn every_value_of_an_attribute_is_in_the_docs() {
        let docs = include_str!("README.md");
        let attributes = INSTRUMENTS.iter().flat_map(|instrument| instrument.attributes);
        for attribute in attributes {
            let Some(values) = attribute.values() else { continue };
            for value in values {
                let told = |line: &str| line.contains(attribute.name()) && line.contains(&format!("`{value}`"));
                assert!(docs.lines().any(told), "{}: {value}", attribute.name());
            }
        }
    }
}
