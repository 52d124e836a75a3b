use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use memstache_core::{
    Address, Content, Encoding, Entry, Error, ErrorKind, Get, Lifetime, Lookup, NewEntry, OneOrMany, Request, Response,
    Sequence, Set, SetItem, Tag, Tags, Version, When,
};
use proptest::prelude::*;

use super::{
    samples::{DEADLINE, KINDS, address, answers, calls, context, entries, errors, keyspace, new_entries, space},
    *,
};

fn again(call: &Call) -> Call {
    let frame = split(&call_frame(call, &context())).unwrap().unwrap();
    assert_eq!(frame.header.context(NOW), context());
    read_call(&frame.body, &context()).unwrap()
}

fn again_answer(answer: &Answer) -> Answer {
    let frame = split(&answer_frame(answer)).unwrap().unwrap();
    assert_eq!(frame.header, Header::new(Kind::Answer, 7));
    read_answer(&frame.body).unwrap()
}

/// A single item of a response, through the wire.
fn looked_up(item: Result<Lookup>) -> Result<Lookup> {
    let response = Response::Found(OneOrMany::One(item));
    match again_answer(&Answer::Ran { response, hot: vec![] }) {
        Answer::Ran { response: Response::Found(found), .. } => found.into_one().unwrap(),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn every_call(call in calls()) {
        let read = again(&call);
        // `Debug` shows no names, values and texts: those are in the bytes.
        prop_assert_eq!(format!("{read:?}"), format!("{call:?}"));
        prop_assert_eq!(call_frame(&read, &context()), call_frame(&call, &context()));
    }

    #[test]
    fn every_answer(answer in answers()) {
        let read = again_answer(&answer);
        prop_assert_eq!(format!("{read:?}"), format!("{answer:?}"));
        prop_assert_eq!(answer_frame(&read), answer_frame(&answer));
    }

    #[test]
    fn an_answer_that_is_cut_fits_and_keeps_the_rest(answer in answers(), max in 300usize..6000) {
        let items = |answer: &Answer| match answer {
            Answer::Ran { response: Response::Found(items), .. } => {
                items.iter().map(|item| item.as_ref().map(|lookup| format!("{lookup:?}")).map_err(Clone::clone)).collect()
            }
            Answer::Fetched(items) => {
                items.iter().map(|item| item.as_ref().map(|item| format!("{item:?}")).map_err(Clone::clone)).collect()
            }
            _ => Vec::new(),
        };
        if let Some(less) = answer.within(max) {
            prop_assert!(answer_frame(&less).len() <= max + HEADER);
            prop_assert_eq!(items(&less).len(), items(&answer).len());
            for (less, whole) in items(&less).into_iter().zip(items(&answer)) {
                match less {
                    Err(error) if is_left_out(&error) => {}
                    less => prop_assert_eq!(format!("{less:?}"), format!("{whole:?}")),
                }
            }
        } else {
            prop_assert!(items(&answer).len() < 2 || items(&answer).len() * 320 + 320 > max);
        }
    }

    #[test]
    fn an_entry_keeps_all_it_has(entry in entries()) {
        let Lookup::Hit(read) = looked_up(Ok(Lookup::Hit(entry.clone()))).unwrap() else { panic!("no hit") };
        prop_assert_eq!((read.value, read.meta), (entry.value, entry.meta));
    }

    #[test]
    fn a_new_entry_keeps_all_it_has(entry in new_entries()) {
        let item = SetItem { address: address("k"), entry: entry.clone(), when: When::Always };
        let set = Set { items: OneOrMany::One(item), scope: memstache_core::Scope::default() };
        let Call::Run { request: Request::Set(set), .. } = again(&Call::Run { keyspace: keyspace(), request: set.into() })
        else { panic!("no set") };
        let read = set.items.into_one().unwrap();
        let NewEntry { value, content, lifetime, tags, options, load_cost } = read.entry;
        prop_assert_eq!((value, content, lifetime), (entry.value, entry.content, entry.lifetime));
        prop_assert_eq!((tags, options, load_cost), (entry.tags, entry.options, entry.load_cost));
        prop_assert_eq!(set.scope.deadline, Some(DEADLINE), "that of the call");
    }

    #[test]
    fn an_error_keeps_what_callers_decide_by(error in errors()) {
        let read = looked_up(Err(error.clone())).unwrap_err();
        prop_assert_eq!((read.kind(), read.to_string()), (error.kind(), error.to_string()));
        prop_assert_eq!(read.is_retryable(), error.is_retryable());
        prop_assert_eq!(read.retry_after(), error.retry_after());
        prop_assert_eq!((read.version(), read.may_have_effect()), (error.version(), error.may_have_effect()));
        prop_assert_eq!(read.find_source::<DataSourceError>(), error.find_source::<DataSourceError>());
    }
}

#[test]
fn every_kind_of_error_is_itself_again() {
    let kinds: BTreeSet<String> = KINDS
        .into_iter()
        .map(|kind| looked_up(Err(Error::new(kind, "x"))).unwrap_err().kind().as_str().to_owned())
        .collect();
    assert_eq!(kinds.len(), 14);
    assert!(kinds.contains("not_found"));
}

#[test]
fn sources_and_long_texts_stay_at_home() {
    let error = Error::new(ErrorKind::Load, "ü".repeat(300)).with_source(std::io::Error::other("user 4711"));
    let read = looked_up(Err(error)).unwrap_err();
    assert_eq!(read.to_string(), "ü".repeat(127));
    assert!(std::error::Error::source(&read).is_none());
}

#[test]
fn addresses_keep_parts_and_stored_keys() {
    let items = [
        Address::plain(&space("acme"), "..").unwrap(),
        Address::blind(&space("acme"), b"\xff\0", [9; 32]).unwrap(),
        Address::plain(&space(""), [b'x'; 1024]).unwrap(),
        Address::plain(&space("acme"), "a:b:c").unwrap(),
    ];
    let call = Call::Peek { keyspace: keyspace(), items: items.iter().cloned().collect() };
    let Call::Peek { keyspace: read_keyspace, items: read } = again(&call) else { panic!("no peek") };
    assert_eq!(read_keyspace, keyspace());
    for (read, item) in read.iter().zip(&items) {
        assert_eq!((read.tenant(), read.keyspace(), read.name()), (item.tenant(), item.keyspace(), item.name()));
        assert_eq!((read.stored(), read.is_blind()), (item.stored(), item.is_blind()));
        assert_eq!(read, item);
    }
}

#[test]
fn times_cross_as_spans() {
    let entry = NewEntry::new("v", Lifetime::new(std::time::Duration::from_secs(60)).unwrap());
    let entry = entry.into_entry(NOW, Version(1), Sequence(2));
    let body = answer_frame(&Answer::Peeked(OneOrMany::One(Some(entry.clone()))));
    let (bytes, mut names) = (Bytes::copy_from_slice(&body[HEADER..]), Names::default());
    let there = Tick::from_millis(77);
    let answer = get_answer(&mut Reader::new(&bytes, &mut names, there, None)).unwrap();
    let Answer::Peeked(OneOrMany::One(Some(read))) = answer else { panic!("{answer:?}") };
    assert_eq!(read.meta.fresh_until.since(there), entry.meta.fresh_until.since(NOW));
    let header = split(&call_frame(&Call::Ping, &context())).unwrap().unwrap().header;
    assert_eq!(header.context(there).deadline, Some(Tick::from_millis(5077)));
    assert_eq!(
        Header::of_call(1, &CallContext::until(NOW.before(std::time::Duration::from_secs(9))), NOW).remaining,
        Some(0)
    );
    assert_eq!(Header::of_call(1, &CallContext::until(Tick::NEVER), NOW).remaining, None);
}

/// A read answer of these values, and the frame that it was read from.
fn found(values: &[usize]) -> (Vec<Entry>, Bytes) {
    let entry =
        |len: &usize| NewEntry::new(vec![1; *len], Lifetime::UNLIMITED).into_entry(NOW, Version(1), Sequence(0));
    let items = values.iter().map(|len| Ok(Lookup::Hit(entry(len)))).collect();
    let frame = answer_frame(&Answer::Ran { response: Response::Found(items), hot: vec![] });
    let (body, mut names) = (Bytes::from(frame).slice(HEADER..), Names::default());
    match get_answer(&mut Reader::new(&body, &mut names, NOW, None)).unwrap() {
        Answer::Ran { response: Response::Found(items), .. } => {
            let entry = |item: Result<Lookup>| match item {
                Ok(Lookup::Hit(entry)) => entry,
                other => panic!("{other:?}"),
            };
            (items.into_iter().map(entry).collect(), body)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_are_parts_of_the_frame_unless_they_would_keep_much_of_it() {
    let is_part = |value: &Bytes, body: &Bytes| body.as_ptr_range().contains(&value.as_ptr());
    for (lens, expected) in [
        (&[100_000][..], &[true][..]),
        (&[100, 200], &[true, true]),
        (&[5_000, 100_000], &[false, true]),
        (&[4_096, 100_000], &[true, true]),
    ] {
        let (entries, body) = found(lens);
        let parts: Vec<_> = entries.iter().map(|entry| is_part(&entry.value, &body)).collect();
        assert_eq!(parts, expected, "{lens:?}");
    }
}

#[test]
fn what_is_too_much_for_one_frame_is_refused_by_the_sender() {
    let many = Call::Peek { keyspace: keyspace(), items: OneOrMany::Many(vec![address("k"); MAX_ITEMS + 1]) };
    let mut out = Out::default();
    let error = put_call(&mut Writer::new(&mut out, NOW), &many).unwrap_err();
    assert_eq!((error.kind(), error.may_have_effect()), (ErrorKind::TooLarge, false));
    assert!(error.to_string().contains("32768"));
    let all = Call::Peek { keyspace: keyspace(), items: OneOrMany::Many(vec![address("k"); MAX_ITEMS]) };
    assert!(matches!(again(&all), Call::Peek { items, .. } if items.len() == MAX_ITEMS));
    // Tags count too.
    let tags = Tags::new((0..32).map(|n| Tag::new(format!("{n:02}")).unwrap())).unwrap();
    let entry = NewEntry::new("v", Lifetime::UNLIMITED).with_tags(tags).into_entry(NOW, Version(1), Sequence(0));
    let push =
        Call::Push { keyspace: keyspace(), stamp: 1, items: vec![(address("k"), Some(entry)); MAX_ITEMS / 33 + 1] };
    assert!(put_call(&mut Writer::new(&mut out, NOW), &push).is_err());
}

#[test]
fn a_frame_over_the_cap_is_taken_back() {
    let mut out = Out::default();
    put_bare(&mut out, Kind::Ping, 1);
    let mark = begin(&mut out, &Header::new(Kind::Call, 2));
    put_call(&mut Writer::new(&mut out, NOW), &Call::Gossip(Bytes::from(vec![0; MAX_FRAME]))).unwrap();
    assert_eq!(end(&mut out, mark, MAX_FRAME), None);
    assert_eq!(out.len(), HEADER);
    let value = Bytes::from(vec![0; MAX_FRAME - HEADER - 1 - 4]);
    let frame = call_frame(&Call::Gossip(value.clone()), &CallContext::default());
    assert_eq!(frame.len(), MAX_FRAME);
    let read = split(&frame).unwrap().unwrap();
    assert!(matches!(read_call(&read.body, &CallContext::default()).unwrap(), Call::Gossip(read) if read == value));
}

#[test]
fn content_and_flags_of_layers_cross() {
    let mut entry = NewEntry::negative(Lifetime::UNLIMITED);
    entry.content = Content { sealed: true, encoding: Encoding::ZSTD, negative: true, ..Content::default() };
    let read = looked_up(Ok(Lookup::Negative(entry.into_entry(NOW, Version(3), Sequence(1)).meta)));
    let Ok(Lookup::Negative(meta)) = read else { panic!("{read:?}") };
    assert!(meta.content.sealed && meta.content.negative && meta.content.encoding == Encoding::ZSTD);
    let get = Get {
        items: OneOrMany::One(address("k").into()),
        on_miss: memstache_core::OnMiss::Wait,
        scope: memstache_core::Scope::default(),
    };
    let read = again(&Call::Run { keyspace: keyspace(), request: get.into() });
    assert!(matches!(read, Call::Run { request, .. } if request.waits()));
    let _: Arc<[u8]> = Arc::clone(address("k").stored());
}
