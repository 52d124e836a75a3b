//! Calls.

use bytes::Bytes;
use memstache_core::Result;

use super::{
    super::{
        call::{Call, MAX_RECORDS, RegistryRecord},
        reader::{Reader, malformed},
        writer::Writer,
    },
    address, entry, request,
};
use crate::{
    keyspace::MAX_DEFINITION,
    member::{Incarnation, NodeId},
};

// Call:
//   1  kind
//      0 ping
//      1 run:       keyspace; request
//      2 fetch:     keyspace; scope; addresses
//      3 peek:      keyspace; addresses
//      4 push:      keyspace; v stamp; v number, each: address; 1 whether it is held; entry if it is
//      5 revoke:    keyspace; addresses
//      6 spread:    keyspace; v number, each: target; v sequence
//      7 sequences: keyspace; v number, each: space
//      8 take over: 8 epoch; v splits
//      9 registry:  1 zero, or 1 one and 8 digest; records
//     10 gossip:    v length; n bytes
//     11 flush:     keyspace; v sequence
//     12 copies:    keyspace; addresses
//     13 recall:    keyspace; v number; addresses
//     14 seen:      keyspace; v number, each: address; v reads
//     15 forget:    keyspace; addresses
//     16 follow:    keyspace; 8 log; v after
//
// Keyspace:
//   1  length, n name
pub(crate) fn put_call<'c>(w: &mut Writer<'_, 'c>, call: &'c Call) -> Result<()> {
    match call {
        Call::Ping => w.out.byte(0),
        Call::Run { keyspace, request } => {
            w.out.byte(1);
            w.keyspace(keyspace);
            return request::put(w, request);
        }
        Call::Fetch { keyspace, items, consistency, max_staleness } => {
            w.out.byte(2);
            w.keyspace(keyspace);
            request::put_scope(w, *consistency, *max_staleness)?;
            return request::put_addresses(w, items);
        }
        Call::Peek { keyspace, items } => {
            w.out.byte(3);
            w.keyspace(keyspace);
            return request::put_addresses(w, items);
        }
        Call::Push { keyspace, stamp, items } => {
            w.out.byte(4);
            w.keyspace(keyspace);
            w.out.number(*stamp);
            return w.many(items, |w, (address, entry)| {
                address::put(w, address);
                w.out.byte(u8::from(entry.is_some()));
                entry.as_ref().map_or(Ok(()), |entry| entry::put(w, entry))
            });
        }
        Call::Copies { keyspace, items } => {
            w.out.byte(12);
            w.keyspace(keyspace);
            return request::put_addresses(w, items);
        }
        Call::Revoke { keyspace, items } => {
            w.out.byte(5);
            w.keyspace(keyspace);
            return request::put_addresses(w, items);
        }
        Call::Spread { keyspace, items } => {
            w.out.byte(6);
            w.keyspace(keyspace);
            return w.many(items, |w, (target, sequence)| {
                address::put_target(w, target)?;
                address::put_sequence(w, *sequence);
                Ok(())
            });
        }
        Call::Sequences { keyspace, spaces } => {
            w.out.byte(7);
            w.keyspace(keyspace);
            return w.many(spaces, |w, space| {
                address::put_space(w, space);
                Ok(())
            });
        }
        Call::TakeOver { epoch, splits } => {
            w.out.byte(8);
            w.out.put(&epoch.to_be_bytes());
            w.out.number(*splits);
        }
        Call::Registry { digest, records } => {
            w.out.byte(9);
            w.out.byte(u8::from(digest.is_some()));
            if let Some(digest) = digest {
                w.out.put(&digest.to_be_bytes());
            }
            return put_records(w, records);
        }
        Call::Flush { keyspace, at } => {
            w.out.byte(11);
            w.keyspace(keyspace);
            address::put_sequence(w, *at);
        }
        Call::Gossip(bytes) => {
            w.out.byte(10);
            put_bytes(w, bytes);
        }
        Call::Recall { keyspace, number, items } => {
            w.out.byte(13);
            w.keyspace(keyspace);
            w.out.number(*number);
            return request::put_addresses(w, items);
        }
        Call::Follow { keyspace, log, after } => {
            w.out.byte(16);
            w.keyspace(keyspace);
            w.out.put(&log.to_be_bytes());
            w.out.number(*after);
        }
        Call::Forget { keyspace, items } => {
            w.out.byte(15);
            w.keyspace(keyspace);
            return request::put_addresses(w, items);
        }
        Call::Seen { keyspace, items } => {
            w.out.byte(14);
            w.keyspace(keyspace);
            return w.many(items, |w, (address, reads)| {
                address::put(w, address);
                w.out.number((*reads).into());
                Ok(())
            });
        }
    }
    Ok(())
}

/// Reads a call; whatever it is, no more is allocated than a small multiple of the frame.
///
/// Errors: `Protocol` for anything that is no call.
pub(crate) fn get_call(r: &mut Reader<'_>) -> Result<Call> {
    let call = match r.byte()? {
        0 => Call::Ping,
        1 => Call::Run { keyspace: r.keyspace()?, request: request::get(r)? },
        2 => {
            let keyspace = r.keyspace()?;
            let (consistency, max_staleness) = request::get_scope(r)?;
            Call::Fetch { keyspace, items: request::addresses(r)?, consistency, max_staleness }
        }
        3 => Call::Peek { keyspace: r.keyspace()?, items: request::addresses(r)? },
        4 => {
            let (keyspace, stamp) = (r.keyspace()?, r.number()?);
            let items = r.many(address::LEAST + 1, |r| {
                let address = address::get(r)?;
                let entry = match r.byte()? {
                    0 => None,
                    1 => Some(entry::get(r)?),
                    _ => return Err(malformed("a push")),
                };
                Ok((address, entry))
            })?;
            Call::Push { keyspace, stamp, items }
        }
        5 => Call::Revoke { keyspace: r.keyspace()?, items: request::addresses(r)? },
        6 => {
            let keyspace = r.keyspace()?;
            let items = r.many(3, |r| Ok((address::get_target(r)?, address::get_sequence(r)?)))?;
            Call::Spread { keyspace, items }
        }
        7 => Call::Sequences { keyspace: r.keyspace()?, spaces: r.many(1, address::get_space)? },
        8 => Call::TakeOver { epoch: r.fixed()?, splits: r.number()? },
        9 => {
            let digest = match r.byte()? {
                0 => None,
                1 => Some(r.fixed()?),
                _ => return Err(malformed("a digest")),
            };
            Call::Registry { digest, records: get_records(r)? }
        }
        10 => Call::Gossip(r.value()?),
        11 => Call::Flush { keyspace: r.keyspace()?, at: address::get_sequence(r)? },
        12 => Call::Copies { keyspace: r.keyspace()?, items: request::addresses(r)? },
        13 => {
            let (keyspace, number) = (r.keyspace()?, r.number()?);
            Call::Recall { keyspace, number, items: request::addresses(r)? }
        }
        14 => {
            let keyspace = r.keyspace()?;
            Call::Seen { keyspace, items: r.many(address::LEAST + 1, |r| Ok((address::get(r)?, small(r)?)))? }
        }
        15 => Call::Forget { keyspace: r.keyspace()?, items: request::addresses(r)? },
        16 => Call::Follow { keyspace: r.keyspace()?, log: r.fixed()?, after: r.number()? },
        _ => return Err(malformed("a call")),
    };
    r.end()?;
    Ok(call)
}

pub(super) fn small(r: &mut Reader<'_>) -> Result<u32> {
    u32::try_from(r.number()?).map_err(|_| malformed("a number"))
}

pub(super) fn put_bytes(w: &mut Writer<'_, '_>, bytes: &Bytes) {
    w.len(bytes.len());
    w.out.value(bytes);
}

// Record:
//   keyspace
//   v  version
//   v  life
//   8  by whom
//   8  created by whom
//   v  flushed
//   1  0 if it was deleted, else 1
//   v  length, n definition, at most 4096 bytes
pub(super) fn put_records<'c>(w: &mut Writer<'_, 'c>, records: &'c [RegistryRecord]) -> Result<()> {
    w.many(records, |w, record| {
        w.keyspace(&record.keyspace);
        w.out.number(record.version);
        w.out.number(record.life.0);
        w.out.put(&record.by.0.to_be_bytes());
        w.out.put(&record.created_by.0.to_be_bytes());
        w.out.number(record.flushed.0);
        w.out.byte(u8::from(record.body.is_some()));
        if let Some(body) = &record.body {
            put_bytes(w, body);
        }
        Ok(())
    })
}

/// The fewest bytes that a record takes.
const LEAST_RECORD: usize = 22;

pub(super) fn get_records(r: &mut Reader<'_>) -> Result<Vec<RegistryRecord>> {
    r.many_at_most(MAX_RECORDS, LEAST_RECORD, |r| {
        let (keyspace, version, life) = (r.keyspace()?, r.number()?, Incarnation(r.number()?));
        let (by, created_by) = (NodeId(r.fixed()?), NodeId(r.fixed()?));
        let flushed = address::get_sequence(r)?;
        let body = match r.byte()? {
            0 => None,
            1 => Some(get_definition(r)?),
            _ => return Err(malformed("a record")),
        };
        Ok(RegistryRecord { keyspace, version, life, by, created_by, flushed, body })
    })
}

/// A definition: copied, for it stays longer than the frame.
fn get_definition(r: &mut Reader<'_>) -> Result<Bytes> {
    let len = r.len()?;
    if len > MAX_DEFINITION {
        return Err(malformed("a long definition"));
    }
    r.slice(len).map(Bytes::copy_from_slice)
}
