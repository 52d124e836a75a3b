//! What the fuzz targets of the peer port run, also run by a normal test over their corpora.

use bytes::{Bytes, BytesMut};
use memstache_core::{Result, Tick};

use crate::{
    member::{Incarnation, NodeId},
    peer::{Local, fuzzing as handshakes},
    wire::{
        Answer, Call, Frame, Names, Out, Reader, Writer, begin, end, get_answer, get_call, next, put_answer, put_call,
    },
};

const NOW: Tick = Tick::from_millis(1 << 41);

/// More would be the work of a frame that none of the inputs is as long as.
const MAX_FRAME: usize = 64 << 10;

/// Takes frames off a stream that arrives in pieces; whatever is accepted must be written alike. Returns whether any was.
pub fn frame(data: &[u8]) -> bool {
    let whole = frames(data, data.len().max(1));
    for piece in [1, 7, 64] {
        assert_eq!(frames(data, piece).len(), whole.len(), "pieces change nothing");
    }
    for frame in &whole {
        let mut out = Out::default();
        let mark = begin(&mut out, &frame.header);
        out.put(&frame.body);
        end(&mut out, mark, MAX_FRAME).expect("it was within the cap");
        let again = frames(&out.to_vec(), usize::MAX);
        assert_eq!((again[0].header, &again[0].body), (frame.header, &frame.body));
    }
    !whole.is_empty()
}

fn frames(data: &[u8], piece: usize) -> Vec<Frame> {
    let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
    for piece in data.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match next(&mut buffer, MAX_FRAME) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return frames,
            }
        }
    }
    frames
}

/// Reads a call; what is accepted must survive being written again. Returns whether it was.
pub fn call(data: &[u8]) -> bool {
    let Ok(call) = read(data, get_call) else { return false };
    let once = written_call(&call);
    let again = read(&once, get_call).expect("what was written is read");
    assert_eq!(format!("{again:?}"), format!("{call:?}"));
    assert_eq!(written_call(&again), once);
    true
}

/// Reads an answer; what is accepted must survive being written again. Returns whether it was.
pub fn answer(data: &[u8]) -> bool {
    let Ok(answer) = read(data, get_answer) else { return false };
    let once = written_answer(&answer);
    let again = read(&once, get_answer).expect("what was written is read");
    assert_eq!(format!("{again:?}"), format!("{answer:?}"));
    assert_eq!(written_answer(&again), once);
    true
}

fn read<T>(data: &[u8], get: impl Fn(&mut Reader<'_>) -> Result<T>) -> Result<T> {
    let bytes = Bytes::copy_from_slice(data);
    get(&mut Reader::new(&bytes, &mut Names::default(), NOW, None))
}

fn written_call(call: &Call) -> Vec<u8> {
    let mut out = Out::default();
    put_call(&mut Writer::new(&mut out, NOW), call).expect("it was within the caps");
    out.to_vec()
}

fn written_answer(answer: &Answer) -> Vec<u8> {
    let mut out = Out::default();
    put_answer(&mut Writer::new(&mut out, NOW), answer).expect("it was within the caps");
    out.to_vec()
}

/// Says something to either end of a handshake: the first byte says to whom. Returns whether it was believed.
pub fn handshake(data: &[u8]) -> bool {
    let local = |node| {
        let local = Local::new("fuzz", NodeId(node), Incarnation(node)).expect("a good name");
        local.with_secrets(&["a secret that no fuzzer guesses"]).expect("long enough")
    };
    handshakes::handshake(&local(1), &local(2), data)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Replays a corpus of at least 200 inputs, some of which are accepted and some refused.
    fn replay(target: &str, run: impl Fn(&[u8]) -> bool) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let (mut accepted, mut refused) = (0, 0);
        for file in fs::read_dir(corpus).expect("the corpus is committed") {
            let bytes = fs::read(file.expect("a file of the corpus").path()).expect("a readable file");
            *(if run(&bytes) { &mut accepted } else { &mut refused }) += 1;
        }
        assert!(accepted + refused >= 200, "{target}: {} inputs", accepted + refused);
        assert!(accepted >= 3 && refused >= 3, "{target}: {accepted} accepted, {refused} refused");
    }

    #[test]
    fn frames() {
        replay("frame", super::frame);
    }

    #[test]
    fn calls() {
        replay("call", super::call);
    }

    #[test]
    fn answers() {
        replay("answer", super::answer);
    }

    #[test]
    fn handshakes() {
        replay("handshake", super::handshake);
    }
}
