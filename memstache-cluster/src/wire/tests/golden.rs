//! Frames as every release must write them: a change here is a change of the protocol.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use memstache_core::{
    Address, Consistency, Entry, Error, ErrorKind, FormatId, Get, Invalidate, Lease, LeaseId, Lifetime, Lookup,
    NewEntry, OneOrMany, Remove, Request, Response, Schema, Scope, Sequence, Set, Tag, Tags, Target, TenantId,
    TierReport, Touch, TouchKind, Version, Written,
};

use super::{
    samples::{DEADLINE, address, context, keyspace, space},
    *,
};
use crate::member::{Incarnation, NodeId};

const PROMISE: Promise = Promise { lease: Duration::from_secs(1), sequence: Sequence(9) };

const GOLDEN: &str = include_str!("golden.txt");

fn new_entry() -> NewEntry {
    let lifetime = Lifetime::new(Duration::from_secs(300)).unwrap().with_stale_for(Duration::from_secs(30)).unwrap();
    let mut entry = NewEntry::new(r#"{"a":1}"#, lifetime);
    entry.content.format = FormatId::JSON;
    entry.content.schema = Some(Schema::new("product", 1));
    entry.load_cost = Duration::from_millis(12);
    entry.with_tags(Tags::new([Tag::new("shop:7").unwrap()]).unwrap())
}

fn entry() -> Entry {
    new_entry().into_entry(NOW, Version(1000), Sequence(3))
}

fn run(request: impl Into<Request>) -> Call {
    let mut request = request.into();
    *request.scope_mut() = Scope { deadline: Some(DEADLINE), consistency: Consistency::Authority, ..Scope::default() };
    Call::Run { keyspace: keyspace(), request }
}

fn ran(response: Response) -> Answer {
    Answer::Ran { response, hot: vec![Hot { item: 0, promise: PROMISE }] }
}

fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let lease = Lease { id: LeaseId(0x0102_0304_0506_0708), sequence: Sequence(9), ttl: Duration::from_secs(10) };
    let blind = Address::blind(&space(""), "7", [0xb1; 4]).unwrap();
    let tag = Target::Tag(space("acme"), Tag::new("shop:7").unwrap());
    let tenant = Target::Tenant(TenantId::new("acme").unwrap());
    let failed = Error::new(ErrorKind::Overloaded, "the data source is at its rate limit")
        .with_retry_after(Duration::from_millis(250))
        .with_source(DataSourceError::RateLimited)
        .without_effect();
    let record = RegistryRecord {
        keyspace: keyspace(),
        version: 4,
        life: Incarnation(300),
        by: NodeId(0x0a0b),
        created_by: NodeId(0x0c0d),
        flushed: Sequence(7),
        body: Some(Bytes::from_static(&[15, 0])),
    };
    let gone = RegistryRecord { version: 5, body: None, ..record.clone() };
    let fetched = Fetched { lookup: Lookup::Hit(entry()), origin: Origin::Loaded, hot: Some(PROMISE) };
    let calls = [
        ("ping", Call::Ping),
        ("get", run(Get::one(address("7")))),
        ("set", run(Set::one(address("7"), new_entry()))),
        (
            "remove",
            run(Remove { items: OneOrMany::Many(vec![address("7"), address("8"), blind]), scope: Scope::default() }),
        ),
        ("touch", run(Touch::one(address("7"), TouchKind::Renew(lease.id)))),
        ("invalidate", run(Invalidate::one(tag.clone()))),
        (
            "fetch",
            Call::Fetch {
                keyspace: keyspace(),
                items: OneOrMany::One(address("7")),
                consistency: Consistency::Near,
                max_staleness: Some(Duration::from_secs(5)),
            },
        ),
        ("peek", Call::Peek { keyspace: keyspace(), items: OneOrMany::One(address("7")) }),
        (
            "push",
            Call::Push {
                keyspace: keyspace(),
                stamp: 300,
                items: vec![(address("7"), Some(entry())), (address("8"), None)],
            },
        ),
        ("revoke", Call::Revoke { keyspace: keyspace(), items: OneOrMany::One(address("7")) }),
        ("spread", Call::Spread { keyspace: keyspace(), items: vec![(tag, Sequence(1)), (tenant, Sequence(2))] }),
        ("sequences", Call::Sequences { keyspace: keyspace(), spaces: vec![space("acme"), space("acme"), space("")] }),
        ("take over", Call::TakeOver { epoch: 0xfeed, splits: 300 }),
        ("registry", Call::Registry { digest: Some(0xfeed), records: vec![record, gone] }),
        ("flush", Call::Flush { keyspace: keyspace(), at: Sequence(300) }),
        ("gossip", Call::Gossip(Bytes::from_static(b"swim"))),
        ("copies", Call::Copies { keyspace: keyspace(), items: OneOrMany::One(address("7")) }),
        ("recall", Call::Recall { keyspace: keyspace(), number: 300, items: OneOrMany::One(address("7")) }),
        ("follow", Call::Follow { keyspace: keyspace(), log: 0xfeed, after: 300 }),
        ("forget", Call::Forget { keyspace: keyspace(), items: OneOrMany::One(address("7")) }),
        ("seen", Call::Seen { keyspace: keyspace(), items: vec![(address("7"), 1000)] }),
    ];
    let answers = [
        ("done", Answer::Done),
        (
            "found",
            ran(Response::Found(
                [Ok(Lookup::Hit(entry())), Ok(Lookup::Leased(lease)), Ok(Lookup::Miss)].into_iter().collect(),
            )),
        ),
        ("stored", ran(Response::Stored(OneOrMany::One(Ok(Written::Stored(Version(1000))))))),
        ("removed", ran(Response::Removed(OneOrMany::One(Ok(true))))),
        ("explained", ran(Response::Explained(OneOrMany::One(Ok(vec![TierReport::holds("memory", entry())]))))),
        ("fetched", Answer::Fetched([Ok(fetched), Err(failed.clone())].into_iter().collect())),
        ("peeked", Answer::Peeked([None, Some(entry())].into_iter().collect())),
        ("partial", Answer::Partial { unacked: 2 }),
        ("sequences", Answer::Sequences(vec![Sequence(1), Sequence(300)])),
        ("changes", Answer::Changes { log: 0xfeed, after: 300, items: vec![address("7")] }),
        ("wrong owner", Answer::WrongOwner { epoch: 0xfeed }),
        ("no keyspace", Answer::NoKeyspace),
        ("failed", Answer::Failed(failed)),
    ];
    let mut frames: Vec<_> = calls.iter().map(|(name, call)| (*name, call_frame(call, &context()))).collect();
    frames.extend(answers.iter().map(|(name, answer)| (*name, answer_frame(answer))));
    for (name, kind) in
        [("cancel", Kind::Cancel), ("ping frame", Kind::Ping), ("pong", Kind::Pong), ("goodbye", Kind::Goodbye)]
    {
        let mut out = Out::default();
        put_bare(&mut out, kind, 7);
        frames.push((name, out.to_vec()));
    }
    frames
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes anything");
        text
    })
}

#[test]
fn golden_frames_never_change() {
    let mut lines = GOLDEN.lines();
    for (name, frame) in samples() {
        let line = format!("{name}: {}", hex(&frame));
        assert_eq!(lines.next(), Some(&*line), "the frame of {name}");
        let read = split(&frame).unwrap().unwrap();
        match read.header.kind {
            Kind::Call => assert_eq!(call_frame(&read_call(&read.body, &context()).unwrap(), &context()), frame),
            Kind::Answer => assert_eq!(answer_frame(&read_answer(&read.body).unwrap()), frame),
            _ => assert!(read.body.is_empty()),
        }
    }
    assert_eq!(lines.next(), None);
}
