#![doc = include_str!("README.md")]

#[doc = include_str!("profiling.md")]
pub mod profiling {}

mod future;
mod instruments;
mod layer;
mod recorder;
mod registry;
mod service;
pub(crate) mod span;
mod told;
mod trace;

#[cfg(feature = "metrics")]
mod facade;

#[cfg(feature = "metrics")]
pub use self::facade::MetricsRecorder;
#[cfg(feature = "resilience")]
pub use self::registry::ResilienceUse;
pub use self::{
    future::ObserveFuture,
    instruments::{Attribute, INSTRUMENTS, Instrument, InstrumentKind},
    layer::ObserveLayer,
    recorder::{CallResult, Ending, Event, Fill, ObservedCall, OperationKind, Recorder, Rejection},
    registry::{
        CacheMetrics, DatabaseCalls, DatabaseCommand, MAX_CACHES, MAX_TENANTS, OTHER_TENANTS, Registry, Resource,
        SHARED_SPACE, TenantUse, Tier, TierUse,
    },
    service::Observed,
    trace::{Propagator, TraceContext},
};
#[cfg(feature = "otlp")]
pub(crate) use self::{
    instruments::{SIGNALS, TELEMETRY_DROPPED},
    registry::{Buckets, Sample, Value},
};
pub(crate) use self::{recorder::ending, told::Told};
