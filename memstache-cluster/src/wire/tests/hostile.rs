use memstache_core::{ErrorKind, KeyspaceName, Sequence, Target, TenantId};
use proptest::prelude::*;

use super::{
    samples::{answers, calls, context},
    *,
};

/// Reads bytes as a frame and what that may hold: all of it must end in a value or an error.
fn read(bytes: &[u8]) {
    match split_any(bytes) {
        Ok(Some(frame)) => {
            for error in
                [read_call(&frame.body, &context()).err(), read_answer(&frame.body).err()].into_iter().flatten()
            {
                assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
            }
        }
        Ok(None) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::Protocol),
    }
}

fn split_any(bytes: &[u8]) -> Result<Option<Frame>> {
    next(&mut BytesMut::from(bytes), MAX_FRAME)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn garbage(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read(&bytes);
        let _ = (read_call(&bytes, &context()), read_answer(&bytes));
    }

    #[test]
    fn bodies_that_begin_well(kind in 0u8..13, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut body = vec![kind, 1, b'k'];
        body.extend(bytes);
        let _ = (read_call(&body, &context()), read_answer(&body));
    }

    #[test]
    fn calls_cut_short_and_changed(call in calls(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        broken(call_frame(&call, &context()), at, bit, |body| read_call(body, &context()).is_ok());
    }

    #[test]
    fn answers_cut_short_and_changed(answer in answers(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        broken(answer_frame(&answer), at, bit, |body| read_answer(body).is_ok());
    }
}

fn broken(mut frame: Vec<u8>, at: prop::sample::Index, bit: u8, reads: impl Fn(&[u8]) -> bool) {
    let body = split(&frame).unwrap().unwrap().body;
    assert!(reads(&body));
    let step = body.len() / 300 + 1;
    for cut in (0..body.len()).step_by(step) {
        assert!(!reads(&body[..cut]), "cut to {cut} of {}", body.len());
    }
    for cut in 0..frame.len().min(HEADER + 30) {
        assert!(split_any(&frame[..cut]).unwrap().is_none(), "a part of a frame is no frame");
    }
    let mut longer = body.to_vec();
    longer.push(0);
    assert!(!reads(&longer), "something behind it");
    let at = at.index(frame.len());
    frame[at] ^= 1 << bit;
    read(&frame);
}

#[test]
fn lengths_and_counts_are_believed_only_with_the_bytes() {
    let context = CallContext::default();
    // Each claims 2^32 items or bytes, and has none.
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
    for start in [
        &[3, 1, b'k'][..],
        &[4, 1, b'k'],
        &[5, 1, b'k'],
        &[6, 1, b'k'],
        &[7, 1, b'k'],
        &[9, 0],
        &[10],
        &[2, 1, b'k', 0],
    ] {
        let body = [start, &huge].concat();
        assert_eq!(read_call(&body, &context).unwrap_err().kind(), ErrorKind::Protocol);
    }
    for start in [&[1][..], &[2], &[3], &[5], &[6], &[7], &[1, 0, 1], &[1, 0, 6]] {
        let body = [start, &huge].concat();
        assert_eq!(read_answer(&body).unwrap_err().kind(), ErrorKind::Protocol);
    }
}

#[test]
fn many_tiny_items_are_refused_before_room_is_made() {
    // 100,000 misses of a byte each would take 200 times as much.
    let mut body = vec![1, 0, 1, 0xa0, 0x8d, 0x06];
    body.resize(body.len() + 100_000, 0);
    let error = read_answer(&body).unwrap_err();
    assert!(error.to_string().contains("too many items"), "{error}");
    // Reports within items count together.
    let mut body = vec![1, 0, 6, 2];
    for _ in 0..2 {
        body.extend([0, 0xa0, 0x9c, 0x01]);
        body.extend([0; 20_000 * 3]);
    }
    assert!(read_answer(&body).unwrap_err().to_string().contains("too many items"));
}

#[test]
fn keyspaces_beyond_the_bounds_are_refused_before_room_is_made() {
    let context = CallContext::default();
    let record = [&[1, b'k', 1, 1][..], &[0; 16], &[0, 0]].concat();
    let many = |count: [u8; 2], times: usize| [&[9, 0, count[0], count[1]][..], &record.repeat(times)].concat();
    assert!(read_call(&many([0x80, 0x10], 2048), &context).is_ok());
    let error = read_call(&many([0x81, 0x10], 2049), &context).unwrap_err();
    assert!(error.to_string().contains("too many items"), "{error}");
    let long = |len: usize, head: [u8; 2]| {
        [&[6, 1, 1, b'k', 1, 1][..], &[0; 16], &[0, 1, head[0], head[1]], &vec![7; len]].concat()
    };
    assert!(read_answer(&long(4096, [0x80, 0x20])).is_ok());
    let error = read_answer(&long(4097, [0x81, 0x20])).unwrap_err();
    assert!(error.to_string().contains("long definition"), "{error}");
}

#[test]
fn frames_of_other_versions_kinds_and_lengths() {
    let good = call_frame(&Call::Ping, &CallContext::default());
    assert!(split(&good).unwrap().is_some());
    let with = |at: usize, byte: u8| {
        let mut frame = good.clone();
        frame[at] = byte;
        split(&frame).map(drop).unwrap_err().to_string()
    };
    assert!(with(0, 1).contains("impossible length"), "16 MiB and more");
    assert!(with(3, 23).contains("impossible length"), "less than a header");
    for version in [0, 2, 0xff] {
        assert!(with(4, version).contains("another version"));
    }
    for kind in [0, 7, 15, 20, 0xff] {
        assert!(with(5, kind).contains("unknown kind"));
    }
    assert!(with(5, Kind::Hello as u8).contains("another version"));
    for flags in [1, 2, 3] {
        assert!(with(6, flags).contains("flags"));
    }
    // The first five bytes tell that it is no frame.
    assert!(announced(b"GET /", MAX_FRAME).is_err());
    assert!(announced(&[0, 0, 0, 28, 9], MAX_FRAME).is_err());
    assert_eq!(announced(&[0, 0, 1], MAX_FRAME).unwrap(), None);
    assert_eq!(announced(&[0, 0, 1, 0], MAX_FRAME).unwrap(), Some(260));
}

#[test]
fn sequences_near_the_end_of_counting_are_refused() {
    let (keyspace, target) = (KeyspaceName::new("k").unwrap(), Target::Tenant(TenantId::new("t").unwrap()));
    for (sequence, good) in
        [(MAX_SEQUENCE, true), (MAX_SEQUENCE + 1, false), (u64::MAX, false)].map(|(n, good)| (Sequence(n), good))
    {
        for call in [
            Call::Spread { keyspace: keyspace.clone(), items: vec![(target.clone(), sequence)] },
            Call::Flush { keyspace: keyspace.clone(), at: sequence },
        ] {
            let frame = split(&call_frame(&call, &context())).unwrap().unwrap();
            assert_eq!(read_call(&frame.body, &context()).is_ok(), good, "{call:?}");
        }
        let frame = split(&answer_frame(&Answer::Sequences(vec![sequence]))).unwrap().unwrap();
        assert_eq!(read_answer(&frame.body).is_ok(), good);
    }
}
