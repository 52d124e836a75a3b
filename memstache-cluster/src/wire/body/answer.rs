//! Answers.

use memstache_core::Result;

use super::{
    super::{
        answer::{Answer, Fetched, Hot, Origin, Promise},
        reader::{Reader, malformed},
        writer::Writer,
    },
    address::{self, get_sequence, put_sequence},
    call::{get_records, put_bytes, put_records, small},
    entry, error, lookup,
    request::items,
    response::{self, get_items, put_items},
};

/// Beside the origin: the key is hot, and by what a copy may be kept follows.
const HOT: u8 = 0x80;

// Answer:
//   1  kind
//      0 done
//      1 ran:         v number of hot items, each: v item; promise; then response
//      2 fetched:     v number, each 0xff and an error, or: 1 origin, with 0x80 if hot; promise if hot; lookup
//      3 peeked:      v number, each: 1 zero, or 1 one and an entry
//      4 partial:     v unacked
//      5 sequences:   v number, each: v sequence
//      6 registry:    records
//      7 gossip:      v length; n bytes
//      8 wrong owner: 8 epoch
//      9 no keyspace
//     10 failed:      error
//     11 changes:     8 log; v after; v number, each: address
//
// Promise:
//   v  lease, ms
//   v  sequence
pub(crate) fn put_answer<'c>(w: &mut Writer<'_, 'c>, answer: &'c Answer) -> Result<()> {
    match answer {
        Answer::Done => w.out.byte(0),
        Answer::Ran { response, hot } => {
            w.out.byte(1);
            w.many(hot, |w, hot| {
                w.out.number(hot.item.into());
                put_promise(w, hot.promise);
                Ok(())
            })?;
            return response::put(w, response);
        }
        Answer::Fetched(items) => {
            w.out.byte(2);
            return put_items(w, items, put_fetched);
        }
        Answer::Peeked(items) => {
            w.out.byte(3);
            return w.many(items.as_slice(), |w, item| {
                w.out.byte(u8::from(item.is_some()));
                item.as_ref().map_or(Ok(()), |entry| entry::put(w, entry))
            });
        }
        Answer::Partial { unacked } => {
            w.out.byte(4);
            w.out.number((*unacked).into());
        }
        Answer::Sequences(sequences) => {
            w.out.byte(5);
            return w.many(sequences, |w, sequence| {
                w.out.number(sequence.0);
                Ok(())
            });
        }
        Answer::Registry(records) => {
            w.out.byte(6);
            return put_records(w, records);
        }
        Answer::Gossip(bytes) => {
            w.out.byte(7);
            put_bytes(w, bytes);
        }
        Answer::WrongOwner { epoch } => {
            w.out.byte(8);
            w.out.put(&epoch.to_be_bytes());
        }
        Answer::NoKeyspace => w.out.byte(9),
        Answer::Changes { log, after, items } => {
            w.out.byte(11);
            w.out.put(&log.to_be_bytes());
            w.out.number(*after);
            return w.many(items, |w, address| {
                address::put(w, address);
                Ok(())
            });
        }
        Answer::Failed(failed) => {
            w.out.byte(10);
            error::put(w, failed);
        }
    }
    Ok(())
}

/// Reads an answer; whatever it is, no more is allocated than a small multiple of the frame.
///
/// Errors: `Protocol` for anything that is no answer.
pub(crate) fn get_answer(r: &mut Reader<'_>) -> Result<Answer> {
    let answer = match r.byte()? {
        0 => Answer::Done,
        1 => {
            let hot = r.many(3, |r| Ok(Hot { item: small(r)?, promise: get_promise(r)? }))?;
            Answer::Ran { hot, response: response::get(r)? }
        }
        2 => Answer::Fetched(get_items(r, get_fetched)?),
        3 => Answer::Peeked(items(r, 1, |r| match r.byte()? {
            0 => Ok(None),
            1 => entry::get(r).map(Some),
            _ => Err(malformed("an entry")),
        })?),
        4 => Answer::Partial { unacked: small(r)? },
        5 => Answer::Sequences(r.many(1, get_sequence)?),
        6 => Answer::Registry(get_records(r)?),
        7 => Answer::Gossip(r.value()?),
        8 => Answer::WrongOwner { epoch: r.fixed()? },
        9 => Answer::NoKeyspace,
        10 => Answer::Failed(error::get(r)?),
        11 => {
            let (log, after) = (r.fixed()?, r.number()?);
            Answer::Changes { log, after, items: r.many(address::LEAST, address::get)? }
        }
        _ => return Err(malformed("an answer")),
    };
    r.end()?;
    Ok(answer)
}

fn put_promise(w: &mut Writer<'_, '_>, promise: Promise) {
    w.span(promise.lease);
    put_sequence(w, promise.sequence);
}

fn get_promise(r: &mut Reader<'_>) -> Result<Promise> {
    Ok(Promise { lease: r.span()?, sequence: get_sequence(r)? })
}

fn put_fetched<'c>(w: &mut Writer<'_, 'c>, fetched: &'c Fetched) -> Result<()> {
    let origin = match fetched.origin {
        Origin::Held => 0,
        Origin::Loaded => 1,
        Origin::Shared => 2,
    };
    w.out.byte(origin | if fetched.hot.is_some() { HOT } else { 0 });
    if let Some(promise) = fetched.hot {
        put_promise(w, promise);
    }
    lookup::put(w, &fetched.lookup)
}

fn get_fetched(r: &mut Reader<'_>, first: u8) -> Result<Fetched> {
    let origin = match first & !HOT {
        0 => Origin::Held,
        1 => Origin::Loaded,
        2 => Origin::Shared,
        _ => return Err(malformed("an origin")),
    };
    let hot = if first & HOT == 0 { None } else { Some(get_promise(r)?) };
    let first = r.byte()?;
    Ok(Fetched { lookup: lookup::get(r, first)?, origin, hot })
}
