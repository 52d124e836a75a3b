//! The opening of every frame.

use bytes::{Buf, Bytes, BytesMut};
use memstache_core::{Result, Tick};

use super::{
    context::{CallContext, TraceContext},
    out::{Mark, Out},
    reader::malformed,
};

/// Most bytes of a frame, its length included.
pub(crate) const MAX_FRAME: usize = 16 << 20;

/// The version of the protocol that this build speaks.
pub(crate) const VERSION: u8 = 1;

/// The version that frames of the handshake have, whatever comes after it.
pub(crate) const HANDSHAKE: u8 = 0;

/// The length, which counts all that follows it.
const LEN: usize = 4;

/// Everything before the trace context.
pub(crate) const HEADER: usize = 28;

const TRACE: usize = 25;

/// Stands for a call without a deadline.
const NEVER: u32 = u32::MAX;

/// The only flag: a trace context follows the header.
const TRACED: u8 = 1;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A [`Call`](super::Call).
    Call = 1,
    /// An [`Answer`](super::Answer).
    Answer = 2,
    /// The caller does not wait for the answer any more.
    Cancel = 3,
    /// Are you there?
    Ping = 4,
    /// To a ping, with its id.
    Pong = 5,
    /// Whoever sends it takes no more calls here; those that are under way are answered.
    Goodbye = 6,
    /// The dialler introduces itself.
    Hello = 16,
    /// The listener does, and proves that it knows the secret.
    Welcome = 17,
    /// The dialler proves it too.
    Proof = 18,
    /// The listener takes no calls of the dialler, and says why.
    Refused = 19,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Call,
        Self::Answer,
        Self::Cancel,
        Self::Ping,
        Self::Pong,
        Self::Goodbye,
        Self::Hello,
        Self::Welcome,
        Self::Proof,
        Self::Refused,
    ];

    fn of(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }

    /// Whether it belongs to the handshake.
    pub(crate) const fn opens(self) -> bool {
        matches!(self, Self::Hello | Self::Welcome | Self::Proof | Self::Refused)
    }
}

/// The opening of a frame, without its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// What the frame is.
    pub(crate) kind: Kind,
    /// Which call it belongs to.
    pub(crate) id: u64,
    /// Of a call: how many nodes it has passed.
    pub(crate) hop: u8,
    /// Of a call: milliseconds until the caller gives up.
    pub(crate) remaining: Option<u32>,
    /// Of a call: the epoch of the caller's table.
    pub(crate) epoch: u64,
    /// Of a call: the span that it belongs to.
    pub(crate) trace: Option<TraceContext>,
}

impl Header {
    pub(crate) const fn new(kind: Kind, id: u64) -> Self {
        Self { kind, id, hop: 0, remaining: None, epoch: 0, trace: None }
    }

    pub(crate) fn of_call(id: u64, context: &CallContext, now: Tick) -> Self {
        let millis = |deadline: Tick| u32::try_from(deadline.as_millis().saturating_sub(now.as_millis()));
        Self {
            kind: Kind::Call,
            id,
            hop: context.hop,
            // What is further away than 49 days is as good as never.
            remaining: context.deadline.and_then(|deadline| millis(deadline).ok()).filter(|left| *left != NEVER),
            epoch: context.epoch,
            trace: context.trace,
        }
    }

    /// How many bytes it takes, its frame's length included.
    pub(crate) const fn len(&self) -> usize {
        HEADER + if self.trace.is_some() { TRACE } else { 0 }
    }

    /// What the header says of a call, in ticks of the reader's clock.
    pub(crate) fn context(&self, now: Tick) -> CallContext {
        let after = |left: u32| Tick::from_millis(now.as_millis().saturating_add(left.into()));
        CallContext { deadline: self.remaining.map(after), epoch: self.epoch, hop: self.hop, trace: self.trace }
    }
}

/// Begins a frame; [`end`] writes its length.
// Frame, version 1; numbers are big-endian:
//
//   4  length of all that follows, 24 to 16 MiB - 4
//   1  version of the protocol; 0 in the handshake
//   1  kind                               (every future version begins with these three)
//   1  flags: 1 if a trace context follows
//   1  hop
//   8  request id
//   4  milliseconds until the caller gives up, 0xffff_ffff for never
//   8  epoch of the caller's table
//  16  trace id                           only if traced
//   8  span id
//   1  trace flags
//   n  body, to the end
//
// What a kind has no use for is zero, and ffff_ffff for the deadline.
pub(crate) fn begin(out: &mut Out, header: &Header) -> Mark {
    let mark = out.mark();
    let mut bytes = [0; HEADER];
    bytes[4] = if header.kind.opens() { HANDSHAKE } else { VERSION };
    bytes[5] = header.kind as u8;
    bytes[6] = if header.trace.is_some() { TRACED } else { 0 };
    bytes[7] = header.hop;
    bytes[8..16].copy_from_slice(&header.id.to_be_bytes());
    bytes[16..20].copy_from_slice(&header.remaining.unwrap_or(NEVER).to_be_bytes());
    bytes[20..28].copy_from_slice(&header.epoch.to_be_bytes());
    out.put(&bytes);
    if let Some(trace) = header.trace {
        out.put(&trace.trace_id.to_be_bytes());
        out.put(&trace.span_id.to_be_bytes());
        out.byte(trace.flags);
    }
    mark
}

/// Ends a frame. `None` if it is longer than `max`: then it is taken back.
pub(crate) fn end(out: &mut Out, mark: Mark, max: usize) -> Option<usize> {
    let len = out.since(mark);
    if len > max {
        out.roll_back(mark);
        return None;
    }
    let rest = u32::try_from(len - LEN).expect("a frame has at most 16 MiB");
    out.patch(mark, &rest.to_be_bytes());
    Some(len)
}

/// Writes a frame that is a header alone.
pub(crate) fn put_bare(out: &mut Out, kind: Kind, id: u64) {
    let mark = begin(out, &Header::new(kind, id));
    end(out, mark, MAX_FRAME).expect("a header is short");
}

/// A frame as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Its opening.
    pub(crate) header: Header,
    /// The rest.
    pub(crate) body: Bytes,
}

/// Takes the next frame off the front of what was read; `None` if more must be read first.
///
/// Errors: `Protocol` if it is longer than `max`, of another version, or no frame at all.
pub(crate) fn next(buffer: &mut BytesMut, max: usize) -> Result<Option<Frame>> {
    let Some(len) = announced(buffer, max)? else { return Ok(None) };
    if buffer.len() < len {
        return Ok(None);
    }
    let mut body = buffer.split_to(len).freeze();
    body.advance(LEN);
    let header = get_header(&mut body)?;
    Ok(Some(Frame { header, body }))
}

/// How long the next frame is, its length included, as far as that is known yet.
pub(crate) fn announced(buffer: &[u8], max: usize) -> Result<Option<usize>> {
    let Some(len) = buffer.first_chunk::<LEN>() else { return Ok(None) };
    let len = u32::from_be_bytes(*len) as usize;
    if len < HEADER - LEN || len > max - LEN {
        return Err(malformed("a frame of an impossible length"));
    }
    // So that the first bytes of something else are not waited for until they make a frame.
    if let Some(version) = buffer.get(LEN).filter(|version| **version > VERSION) {
        let _ = version;
        return Err(malformed("a frame of another version"));
    }
    Ok(Some(LEN + len))
}

fn get_header(bytes: &mut Bytes) -> Result<Header> {
    let version = bytes.get_u8();
    let kind = Kind::of(bytes.get_u8()).ok_or_else(|| malformed("a frame of an unknown kind"))?;
    if version != if kind.opens() { HANDSHAKE } else { VERSION } {
        return Err(malformed("a frame of another version"));
    }
    let (flags, hop) = (bytes.get_u8(), bytes.get_u8());
    let (id, remaining, epoch) = (bytes.get_u64(), bytes.get_u32(), bytes.get_u64());
    let trace = match flags {
        0 => None,
        TRACED if bytes.len() >= TRACE => {
            Some(TraceContext { trace_id: bytes.get_u128(), span_id: bytes.get_u64(), flags: bytes.get_u8() })
        }
        _ => return Err(malformed("the flags of a frame")),
    };
    Ok(Header { kind, id, hop, remaining: (remaining != NEVER).then_some(remaining), epoch, trace })
}
