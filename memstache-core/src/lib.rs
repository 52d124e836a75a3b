#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accountant;
mod address;
mod clock;
mod coherence;
mod entry;
pub mod envelope;
mod error;
pub mod expiry;
mod format;
#[cfg(any(test, fuzzing, feature = "test-util"))]
#[doc(hidden)]
pub mod fuzzing;
mod name;
mod record;
mod request;
mod service;
mod store;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod transform;
mod util;

#[cfg(feature = "json")]
pub use self::format::Json;
pub use self::{
    accountant::{Accountant, Charge, NoAccountant},
    address::{Address, MAX_NAME, Namer, Parts, PlainNamer, Space},
    clock::{BoxFuture, Clock, SystemClock, Tick},
    coherence::{Coherence, Invalidation, InvalidationStream},
    entry::{
        Content, Encoding, Entry, EntryOptions, FormatId, MAX_TAGS, Meta, NewEntry, Schema, Sequence, Tags, Version,
    },
    error::{BoxError, Error, ErrorKind, Result},
    expiry::{Lifetime, MAX_TTL},
    format::Format,
    name::{KeyspaceName, MAX_LABEL, MAX_TAG, Tag, TenantId},
    record::{
        DEFAULT_MAX_RECORD_VALUE, Expected, FileRecords, FileRecordsBuilder, MAX_RECORD_KEY, MAX_RECORD_VALUE,
        MemoryRecords, Record, RecordEvent, RecordKey, RecordPrefix, RecordStore, RecordStream,
    },
    request::{
        Consistency, Found, Get, GetItem, Invalidate, Invalidated, Lease, LeaseId, Lookup, OnMiss, OneOrMany,
        Operation, Remove, Removed, Request, Response, Scope, Set, SetItem, Stored, Target, Touch, TouchItem,
        TouchKind, Touched, When, Written,
    },
    service::{CacheService, ErasedService, TryHit},
    store::{Store, StoreService},
    transform::{Step, Transform, TransformFuture, TransformLayer, Transformed},
};
