//! Calls and answers of every kind.

use std::time::Duration;

use bytes::Bytes;
use memstache_core::{
    Address, Consistency, Content, Encoding, Entry, EntryOptions, Error, ErrorKind, Explain, FormatId, Get, GetItem,
    Invalidate, KeyspaceName, Lease, LeaseId, Lifetime, Lookup, Meta, NewEntry, OnMiss, OneOrMany, Reason, Remove,
    Request, Response, Result, Schema, Scope, Sequence, Set, SetItem, Space, Tag, Tags, Target, TenantId, Tick,
    TierReport, Touch, TouchItem, TouchKind, Version, When, Written,
};
use proptest::{option, prelude::*, sample::select};

use super::NOW;
use crate::member::{Incarnation, NodeId};
use crate::wire::{
    Answer, Call, CallContext, DataSourceError, Fetched, Hot, MAX_SEQUENCE, Origin, Promise, RegistryRecord,
    TraceContext,
};

pub(super) const DEADLINE: Tick = Tick::from_millis(NOW.as_millis() + 5000);

pub(super) fn context() -> CallContext {
    let trace = TraceContext { trace_id: 0x0102 << 112 | 3, span_id: 4, flags: 1 };
    CallContext { deadline: Some(DEADLINE), epoch: 0xfeed, hop: 1, trace: Some(trace) }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn keyspace() -> KeyspaceName {
    KeyspaceName::new("products").unwrap()
}

pub(super) fn space(tenant: &str) -> Space {
    let tenant = (!tenant.is_empty()).then(|| TenantId::new(tenant).unwrap());
    Space::new(tenant.as_ref(), &keyspace())
}

pub(super) fn address(name: &str) -> Address {
    Address::plain(&space("acme"), name).unwrap()
}

fn spans() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(0), 0u64..200, 0u64..10_000_000].prop_map(ms)
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..40),
        Just(vec![b'.', b'.']),
        Just(vec![0xff; 1024]),
        prop::collection::vec(any::<u8>(), 1024),
    ]
}

pub(super) fn spaces() -> impl Strategy<Value = Space> {
    select(vec!["", "acme", "globex.eu"]).prop_map(space)
}

pub(super) fn addresses() -> impl Strategy<Value = Address> {
    (spaces(), names(), option::of(prop::collection::vec(any::<u8>(), 1..80))).prop_map(|(space, name, stored)| {
        match stored {
            Some(stored) => Address::blind(&space, name, stored).unwrap(),
            None => Address::plain(&space, name).unwrap(),
        }
    })
}

fn values() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..60),
        1 => prop::collection::vec(any::<u8>(), 4000..5000),
    ]
    .prop_map(Bytes::from)
}

fn tags() -> impl Strategy<Value = Tags> {
    prop::collection::vec("[a-zü:]{1,20}", 0..4)
        .prop_map(|tags| Tags::new(tags.iter().map(|tag| Tag::new(tag).unwrap())).unwrap())
}

fn contents() -> impl Strategy<Value = Content> {
    (any::<u8>(), any::<u8>(), any::<bool>(), any::<bool>(), option::of(any::<u64>()), 0u64..1 << 40).prop_map(
        |(format, encoding, sealed, negative, schema, plain_len)| Content {
            format: FormatId(format),
            encoding: Encoding(encoding),
            sealed,
            negative,
            schema: schema.map(Schema),
            plain_len,
        },
    )
}

prop_compose! {
    fn metas()(
        version in any::<u64>(), sequence in any::<u64>(), ages in (spans(), spans()), past in any::<bool>(),
        fresh in spans(), hard in option::of(spans()), never in any::<bool>(),
        rest in (spans(), option::of(1u64..1_000_000), spans()), content in contents(), tags in tags(),
    ) -> Meta {
        let fresh_until = if never { Tick::NEVER } else if past { NOW.before(fresh) } else { NOW.after(fresh) };
        Meta {
            version: Version(version),
            sequence: Sequence(sequence),
            written_at: NOW.before(ages.0),
            confirmed_at: NOW.before(ages.1),
            fresh_until,
            hard_until: if never { Tick::NEVER } else { hard.map_or(Tick::NEVER, |hard| fresh_until.after(hard)) },
            stale_for: rest.0,
            sliding: rest.1.map(ms),
            load_cost: rest.2,
            content,
            tags,
        }
    }
}

pub(super) fn entries() -> impl Strategy<Value = Entry> {
    (metas(), values()).prop_map(|(meta, value)| Entry { value, meta })
}

fn lifetimes() -> impl Strategy<Value = Lifetime> {
    (option::of(1u64..1_000_000), option::of(0.01f64..1.0), spans()).prop_map(|(ttl, part, stale)| {
        let mut lifetime = Lifetime::UNLIMITED.with_stale_for(stale).unwrap();
        if let Some(ttl) = ttl {
            lifetime = lifetime.with_ttl(ms(ttl)).unwrap();
        }
        match part {
            Some(part) => lifetime.with_sliding(ms((ttl.unwrap_or(5000) as f64 * part).ceil() as u64)).unwrap(),
            None => lifetime,
        }
    })
}

pub(super) fn new_entries() -> impl Strategy<Value = NewEntry> {
    let options = (option::of(any::<bool>()), option::of(any::<bool>()));
    (values(), contents(), lifetimes(), tags(), options, spans()).prop_map(
        |(value, content, lifetime, tags, (compress, encrypt), load_cost)| NewEntry {
            value,
            content,
            lifetime,
            tags,
            options: EntryOptions { compress, encrypt },
            load_cost,
        },
    )
}

/// One, none or some, as a frame tells them apart.
fn items<T: Clone + std::fmt::Debug>(item: impl Strategy<Value = T>) -> impl Strategy<Value = OneOrMany<T>> {
    prop::collection::vec(item, 0..4).prop_map(OneOrMany::from_iter)
}

fn sequences() -> impl Strategy<Value = Sequence> {
    (0..=MAX_SEQUENCE).prop_map(Sequence)
}

fn ids() -> impl Strategy<Value = LeaseId> {
    any::<u64>().prop_map(LeaseId)
}

fn scopes() -> impl Strategy<Value = Scope> {
    let consistency = select(vec![Consistency::Near, Consistency::Nearest, Consistency::Authority]);
    (consistency, option::of(spans())).prop_map(|(consistency, max_staleness)| Scope {
        deadline: Some(DEADLINE),
        consistency,
        max_staleness,
        ..Scope::default()
    })
}

fn conditions() -> impl Strategy<Value = When> {
    prop_oneof![
        Just(When::Always),
        Just(When::IfAbsent),
        Just(When::IfPresent),
        any::<u64>().prop_map(|version| When::IfVersion(Version(version))),
        ids().prop_map(When::IfLease),
    ]
}

fn touches() -> impl Strategy<Value = TouchKind> {
    prop_oneof![
        Just(TouchKind::Probe),
        Just(TouchKind::Slide),
        lifetimes().prop_map(TouchKind::Live),
        ids().prop_map(TouchKind::Renew),
        ids().prop_map(TouchKind::Release),
    ]
}

pub(super) fn targets() -> impl Strategy<Value = Target> {
    prop_oneof![
        (spaces(), "[a-zü:]{1,20}").prop_map(|(space, tag)| Target::Tag(space, Tag::new(tag).unwrap())),
        spaces().prop_map(Target::Space),
        Just(Target::Tenant(TenantId::new("acme").unwrap())),
    ]
}

pub(super) fn requests() -> impl Strategy<Value = Request> {
    let get = (addresses(), option::of(any::<u64>()), option::of(ids())).prop_map(|(address, unless, lease)| GetItem {
        address,
        unless: unless.map(Version),
        lease,
    });
    let on_miss = select(vec![OnMiss::Report, OnMiss::Lease, OnMiss::Wait]);
    let set =
        (addresses(), new_entries(), conditions()).prop_map(|(address, entry, when)| SetItem { address, entry, when });
    let touch = (addresses(), touches()).prop_map(|(address, kind)| TouchItem { address, kind });
    prop_oneof![
        (items(get), on_miss, scopes()).prop_map(|(items, on_miss, scope)| Get { items, on_miss, scope }.into()),
        (items(set), scopes()).prop_map(|(items, scope)| Set { items, scope }.into()),
        (items(addresses()), scopes()).prop_map(|(items, scope)| Remove { items, scope }.into()),
        (items(touch), scopes()).prop_map(|(items, scope)| Touch { items, scope }.into()),
        (items(targets()), scopes()).prop_map(|(items, scope)| Invalidate { items, scope }.into()),
        (items(addresses()), scopes()).prop_map(|(items, scope)| Explain { items, scope }.into()),
    ]
}

pub(super) const KINDS: [ErrorKind; 14] = [
    ErrorKind::Invalid,
    ErrorKind::TooLarge,
    ErrorKind::Unsupported,
    ErrorKind::Rejected,
    ErrorKind::NotFound,
    ErrorKind::Timeout,
    ErrorKind::Unknown,
    ErrorKind::Unavailable,
    ErrorKind::Overloaded,
    ErrorKind::Conflict,
    ErrorKind::Load,
    ErrorKind::LoadPanicked,
    ErrorKind::Protocol,
    ErrorKind::Io,
];

pub(super) fn errors() -> impl Strategy<Value = Error> {
    let cause = select(vec![
        None,
        Some(DataSourceError::RateLimited),
        Some(DataSourceError::CircuitOpen),
        Some(DataSourceError::DeadlineExceeded),
    ]);
    let parts = (select(KINDS.to_vec()), ".{0,60}", option::of(spans()), option::of(any::<u64>()));
    (parts, any::<bool>(), any::<bool>(), cause).prop_map(|((kind, text, after, version), retryable, effect, cause)| {
        let mut error = Error::new(kind, text).with_retryable(retryable);
        if let Some(after) = after {
            error = error.with_retry_after(after);
        }
        if let Some(version) = version {
            error = error.with_version(Version(version));
        }
        if !effect {
            error = error.without_effect();
        }
        if let Some(cause) = cause {
            error = error.with_source(cause);
        }
        error
    })
}

fn results<T: Clone + std::fmt::Debug>(item: impl Strategy<Value = T>) -> impl Strategy<Value = OneOrMany<Result<T>>> {
    items(prop_oneof![3 => item.prop_map(Ok), 1 => errors().prop_map(Err)])
}

fn leases() -> impl Strategy<Value = Lease> {
    (ids(), any::<u64>(), spans()).prop_map(|(id, sequence, ttl)| Lease { id, sequence: Sequence(sequence), ttl })
}

pub(super) fn lookups() -> impl Strategy<Value = Lookup> {
    prop_oneof![
        entries().prop_map(Lookup::Hit),
        (entries(), option::of(leases())).prop_map(|(entry, lease)| Lookup::Stale(entry, lease)),
        metas().prop_map(Lookup::Negative),
        Just(Lookup::Miss),
        leases().prop_map(Lookup::Leased),
        option::of(ids()).prop_map(Lookup::Busy),
    ]
}

const REASONS: [Reason; 12] = [
    Reason::NeverStored,
    Reason::NotHeld,
    Reason::Removed,
    Reason::Expired,
    Reason::Tag,
    Reason::Cleared,
    Reason::Evicted,
    Reason::TooOld,
    Reason::Schema,
    Reason::Rejected,
    Reason::Unverified,
    Reason::Unavailable,
];

fn reports() -> impl Strategy<Value = TierReport> {
    (select(REASONS.to_vec()), any::<bool>(), option::of(entries()), "[a-z]{1,10}", any::<bool>()).prop_map(
        |(reason, has_reason, entry, tier, loading)| {
            let mut report = TierReport::live(tier).with_loading(loading);
            report.reason = has_reason.then_some(reason);
            report.entry = entry;
            report
        },
    )
}

pub(super) fn responses() -> impl Strategy<Value = Response> {
    let written = prop_oneof![
        any::<u64>().prop_map(|version| Written::Stored(Version(version))),
        Just(Written::Refused),
        Just(Written::NearOnly),
    ];
    prop_oneof![
        2 => results(lookups()).prop_map(Response::Found),
        1 => results(written).prop_map(Response::Stored),
        1 => results(any::<bool>()).prop_map(Response::Removed),
        1 => results(any::<bool>()).prop_map(Response::Touched),
        1 => results(sequences()).prop_map(Response::Invalidated),
        1 => results(prop::collection::vec(reports(), 0..3)).prop_map(Response::Explained),
    ]
}

fn records() -> impl Strategy<Value = Vec<RegistryRecord>> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    let record = ("[a-z]{1,9}", numbers, option::of(values())).prop_map(|(name, numbers, body)| RegistryRecord {
        keyspace: KeyspaceName::new(name).unwrap(),
        version: numbers.0,
        life: Incarnation(numbers.1),
        by: NodeId(numbers.2),
        created_by: NodeId(numbers.3),
        flushed: Sequence(numbers.4 % MAX_SEQUENCE),
        body: body.map(|body| body.slice(..body.len().min(4096))),
    });
    prop::collection::vec(record, 0..4)
}

pub(super) fn calls() -> impl Strategy<Value = Call> {
    let entry = (addresses(), option::of(entries()));
    let target = (targets(), sequences());
    prop_oneof![
        1 => Just(Call::Ping),
        6 => requests().prop_map(|request| Call::Run { keyspace: keyspace(), request }),
        2 => (items(addresses()), scopes()).prop_map(|(items, scope)| Call::Fetch {
            keyspace: keyspace(),
            items,
            consistency: scope.consistency,
            max_staleness: scope.max_staleness,
        }),
        1 => items(addresses()).prop_map(|items| Call::Peek { keyspace: keyspace(), items }),
        1 => (any::<u64>(), prop::collection::vec(entry, 0..4))
            .prop_map(|(stamp, items)| Call::Push { keyspace: keyspace(), stamp, items }),
        1 => items(addresses()).prop_map(|items| Call::Copies { keyspace: keyspace(), items }),
        1 => items(addresses()).prop_map(|items| Call::Revoke { keyspace: keyspace(), items }),
        1 => prop::collection::vec(target, 0..4).prop_map(|items| Call::Spread { keyspace: keyspace(), items }),
        1 => prop::collection::vec(spaces(), 0..4).prop_map(|spaces| Call::Sequences { keyspace: keyspace(), spaces }),
        1 => any::<(u64, u64)>().prop_map(|(epoch, splits)| Call::TakeOver { epoch, splits }),
        1 => (option::of(any::<u64>()), records())
            .prop_map(|(digest, records)| Call::Registry { digest, records }),
        1 => sequences().prop_map(|at| Call::Flush { keyspace: keyspace(), at }),
        1 => values().prop_map(Call::Gossip),
        1 => any::<(u64, u64)>().prop_map(|(log, after)| Call::Follow { keyspace: keyspace(), log, after }),
        1 => items(addresses()).prop_map(|items| Call::Forget { keyspace: keyspace(), items }),
        1 => (any::<u64>(), items(addresses()))
            .prop_map(|(number, items)| Call::Recall { keyspace: keyspace(), number, items }),
        1 => prop::collection::vec((addresses(), any::<u32>()), 0..4)
            .prop_map(|items| Call::Seen { keyspace: keyspace(), items }),
    ]
}

fn promises() -> impl Strategy<Value = Promise> {
    (spans(), sequences()).prop_map(|(lease, sequence)| Promise { lease, sequence })
}

pub(super) fn answers() -> impl Strategy<Value = Answer> {
    let hot = prop::collection::vec((any::<u32>(), promises()).prop_map(|(item, promise)| Hot { item, promise }), 0..3);
    let origin = select(vec![Origin::Held, Origin::Loaded, Origin::Shared]);
    let fetched =
        (lookups(), origin, option::of(promises())).prop_map(|(lookup, origin, hot)| Fetched { lookup, origin, hot });
    prop_oneof![
        1 => Just(Answer::Done),
        6 => (responses(), hot).prop_map(|(response, hot)| Answer::Ran { response, hot }),
        2 => results(fetched).prop_map(Answer::Fetched),
        1 => items(option::of(entries())).prop_map(Answer::Peeked),
        1 => any::<u32>().prop_map(|unacked| Answer::Partial { unacked }),
        1 => prop::collection::vec(sequences(), 0..4).prop_map(Answer::Sequences),
        1 => records().prop_map(Answer::Registry),
        1 => values().prop_map(Answer::Gossip),
        1 => any::<u64>().prop_map(|epoch| Answer::WrongOwner { epoch }),
        1 => (any::<(u64, u64)>(), prop::collection::vec(addresses(), 0..4))
            .prop_map(|((log, after), items)| Answer::Changes { log, after, items }),
        1 => Just(Answer::NoKeyspace),
        1 => errors().prop_map(Answer::Failed),
    ]
}
