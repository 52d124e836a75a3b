#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accountant;
mod address;
mod buffer;
mod cache;
mod clock;
mod coalesce;
mod coherence;
#[cfg(feature = "config")]
pub mod config;
mod entry;
pub mod envelope;
mod error;
pub mod expiry;
mod explain;
mod format;
#[cfg(any(test, fuzzing, feature = "test-util"))]
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod lifetime;
mod load_gate;
pub mod memoize;
#[cfg(feature = "memory")]
mod memory;
mod name;
#[cfg(feature = "near")]
mod near;
pub mod observe;
mod record;
mod request;
#[cfg(feature = "resilience")]
pub mod resilience;
mod service;
mod stack;
mod store;
mod striped;
#[cfg(feature = "memory")]
mod sync;
#[cfg(feature = "otlp")]
pub mod telemetry;
mod tenant_keys;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod transform;
mod util;
mod version;
mod warm_up;

#[cfg(feature = "json")]
pub use self::format::Json;
#[cfg(feature = "memory")]
pub use self::memory::{
    Allowance, AnyPolicy, EvictionPolicy, FairShare, Fifo, Lfu, Lru, MemoryBuilder, MemoryFuture, MemoryStats,
    MemoryStore, OwnPolicy, PolicyKind, Random, RemovalCause, S3Fifo, Sieve, SlotId, TinyLfu, WhenOver,
};
#[cfg(feature = "near")]
pub use self::near::{MIN_NEAR_BYTES, Near, NearConfig, NearFuture, NearLayer, NearStats, NearView, OnDegraded};
#[cfg(feature = "resilience")]
pub use self::stack::Limits;
pub use self::{
    accountant::{Accountant, Charge, NoAccountant, SampledUse, UsageSampler},
    address::{Address, MAX_NAME, MAX_STORED, Namer, Parts, PlainNamer, Space},
    buffer::{Buffer, BufferPool, BufferPoolBuilder, BufferPoolStats},
    cache::{
        BatchLoader, Cache, CacheBuilder, CacheStats, Call, Fetched, IntoLoaded, LoadBuilder, LoadContext, LoadFuture,
        LoadManyBuilder, Loaded, Loader, Outcome, Read, RemoveManyBuilder, Scoped, SetBuilder, SetManyBuilder, Shape,
        Tenanted, shape,
    },
    clock::{BoxFuture, Clock, SystemClock, Tick},
    coalesce::{Coalesce, Joined},
    coherence::{Coherence, Invalidation, InvalidationStream},
    entry::{Content, Encoding, Entry, EntryOptions, FormatId, HasSchema, MAX_TAGS, Meta, NewEntry, Schema, Tags},
    error::{BoxError, Error, ErrorKind, Result},
    explain::{EntryExplained, Explanation, TierExplained},
    format::Format,
    health::{Condition, Health, HealthReport, HealthValue, PartHealth},
    lifetime::{Lifetime, MAX_TTL},
    load_gate::{LoadGate, LoadPermit},
    name::{KeyspaceName, MAX_LABEL, MAX_TAG, Tag, TenantId},
    record::{
        DEFAULT_MAX_RECORD_VALUE, Expected, FileRecords, FileRecordsBuilder, MAX_RECORD_KEY, MAX_RECORD_VALUE,
        MemoryRecords, Record, RecordEvent, RecordKey, RecordPrefix, RecordStore, RecordStream,
    },
    request::{
        Consistency, Explain, Explained, Found, Get, GetItem, Invalidate, Invalidated, Lease, LeaseId, Lookup, OnMiss,
        OneOrMany, Operation, Reason, Remove, Removed, Request, Response, Scope, Set, SetItem, Stored, Target,
        TierReport, Touch, TouchItem, TouchKind, Touched, When, Written,
    },
    service::{AsOf, CacheService, DecodedAs, ErasedService, TryHit},
    stack::{NoNear, Stack},
    store::{Store, StoreService},
    striped::Striped,
    tenant_keys::{Receipt, TenantKeys},
    transform::{Step, Transform, TransformFuture, TransformLayer, Transformed},
    version::{Sequence, Version},
    warm_up::{Seeded, WarmUp, WarmUpReport},
};

/// How the policies of the memory store compare, and which one to take.
#[cfg(feature = "memory")]
#[doc = include_str!("memory/policy/choosing.md")]
pub mod choosing_a_policy {}

/// The workspace's README, so that its example is tested.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct WorkspaceReadme;
