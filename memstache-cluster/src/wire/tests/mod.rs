//! Round trips, golden frames, and bytes that are none.

mod golden;
mod hostile;
mod round_trips;
mod samples;

use bytes::{Bytes, BytesMut};
use memstache_core::{Result, Tick};

use super::*;

pub(super) const NOW: Tick = Tick::from_millis(1 << 41);

/// Writes a call as a frame.
pub(super) fn call_frame(call: &Call, context: &CallContext) -> Vec<u8> {
    let mut out = Out::default();
    let mark = begin(&mut out, &Header::of_call(7, context, NOW));
    put_call(&mut Writer::new(&mut out, NOW), call).unwrap();
    end(&mut out, mark, MAX_FRAME).unwrap();
    out.to_vec()
}

pub(super) fn answer_frame(answer: &Answer) -> Vec<u8> {
    let mut out = Out::default();
    let mark = begin(&mut out, &Header::new(Kind::Answer, 7));
    put_answer(&mut Writer::new(&mut out, NOW), answer).unwrap();
    end(&mut out, mark, MAX_FRAME).unwrap();
    out.to_vec()
}

pub(super) fn split(bytes: &[u8]) -> Result<Option<Frame>> {
    let mut buffer = BytesMut::from(bytes);
    let frame = next(&mut buffer, MAX_FRAME)?;
    assert!(frame.is_none() || buffer.is_empty());
    Ok(frame)
}

pub(super) fn read_call(body: &[u8], context: &CallContext) -> Result<Call> {
    let (bytes, mut names) = (Bytes::copy_from_slice(body), Names::default());
    get_call(&mut Reader::new(&bytes, &mut names, NOW, context.deadline))
}

pub(super) fn read_answer(body: &[u8]) -> Result<Answer> {
    let (bytes, mut names) = (Bytes::copy_from_slice(body), Names::default());
    get_answer(&mut Reader::new(&bytes, &mut names, NOW, None))
}
