//! What is believed, and what is not.

use memstache_core::Tick;

use crate::{
    member::{Incarnation, NodeId},
    membership::gossip::{
        GossipSecret,
        seal::{Dropped, Envelope, Keys, Standing},
        wire::Kind,
    },
};

const NOW: Tick = Tick::from_millis(41);
const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

fn keys(cluster: &str, secrets: &[u8]) -> Keys {
    let secrets: Vec<_> = secrets.iter().map(|secret| GossipSecret::new([*secret; 16]).unwrap()).collect();
    Keys::new(cluster, &secrets)
}

fn node(id: NodeId, secrets: &[u8]) -> Envelope {
    Envelope::new(keys("shop", secrets), id, Incarnation(10), 1, 8)
}

fn open(by: &mut Envelope, datagram: &[u8]) -> Result<(Standing, Vec<u8>), Dropped> {
    let mut datagram = datagram.to_vec();
    by.open(&mut datagram, NOW).map(|opened| (opened.standing, opened.body.to_vec()))
}

fn known(body: &[u8]) -> Result<(Standing, Vec<u8>), Dropped> {
    Ok((Standing::Known, body.to_vec()))
}

#[test]
fn the_layout_is_what_it_always_was() {
    let sealed = node(A, b"s").seal(Kind::Swim, None, NOW, b"tea");
    let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("../../../../tests/golden/gossip.txt").trim());
    assert_eq!(open(&mut node(B, b"s"), &sealed), known(b"tea"));
}

#[test]
fn what_was_changed_is_not_believed() {
    let (mut a, mut b) = (node(A, b"s"), node(B, b"s"));
    let sealed = a.seal(Kind::Swim, None, NOW, b"tea");
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.to_vec();
            changed[at] ^= 1 << bit;
            assert!(open(&mut b, &changed).is_err(), "byte {at}, bit {bit}");
        }
        assert!(open(&mut b, &sealed[..at]).is_err(), "cut at {at}");
    }
    assert!(open(&mut b, &[&sealed[..], b"!"].concat()).is_err());
    assert_eq!(open(&mut b, &sealed), known(b"tea"), "none of it changed what is known of the sender");
}

#[test]
fn nothing_is_believed_twice() {
    let (mut a, mut b) = (node(A, b"s"), node(B, b"s"));
    let sealed: Vec<_> = (0..200_u8).map(|n| a.seal(Kind::Swim, None, NOW, &[n])).collect();
    for n in [0, 5, 3, 199, 150] {
        assert_eq!(open(&mut b, &sealed[n]), known(&[n as u8]));
        assert_eq!(open(&mut b, &sealed[n]), Err(Dropped::Replayed));
    }
    assert_eq!(open(&mut b, &sealed[4]), Err(Dropped::Replayed), "too old to know");
}

#[test]
fn who_has_another_secret_or_cluster_is_a_stranger() {
    let sealed = node(A, b"s").seal(Kind::Swim, None, NOW, b"tea");
    assert_eq!(open(&mut node(B, b"t"), &sealed), Err(Dropped::Unauthentic));
    assert_eq!(open(&mut node(B, b""), &sealed), Err(Dropped::Unauthentic), "plaintext does not take what is sealed");
    let plain = node(A, b"").seal(Kind::Swim, None, NOW, b"tea");
    assert_eq!(open(&mut node(B, b"s"), &plain), Err(Dropped::Unauthentic), "nor the other way round");
    assert_eq!(open(&mut node(B, b""), &plain), known(b"tea"));
    for secrets in [&b"s"[..], b""] {
        let mut other = Envelope::new(keys("inn", secrets), B, Incarnation(1), 1, 8);
        let theirs = node(A, secrets).seal(Kind::Swim, None, NOW, b"tea");
        assert_eq!(open(&mut other, &theirs), Err(Dropped::WrongCluster));
    }
}

#[test]
fn secrets_change_without_a_gap() {
    let (mut a, mut b) = (node(A, b"o"), node(B, b"on"));
    let old = a.seal(Kind::Swim, None, NOW, b"1");
    assert_eq!(open(&mut b, &old), known(b"1"));
    a.set_keys(keys("shop", b"no"));
    let new = a.seal(Kind::Swim, None, NOW, b"2");
    assert_eq!(open(&mut b, &new), known(b"2"));
    assert_eq!(open(&mut b, &old), Err(Dropped::Replayed), "the other key does not make it new");
    // The old secret is given up.
    b.set_keys(keys("shop", b"n"));
    a.set_keys(keys("shop", b"o"));
    assert_eq!(open(&mut b, &a.seal(Kind::Swim, None, NOW, b"3")), Err(Dropped::Unauthentic));
    a.set_keys(keys("shop", b"n"));
    assert_eq!(open(&mut b, &a.seal(Kind::Swim, None, NOW, b"4")), known(b"4"));
}

#[test]
fn a_key_that_was_given_up_is_forgotten_where_it_was_in_use() {
    let (mut a, mut b) = (node(A, b"o"), node(B, b"on"));
    assert_eq!(open(&mut b, &a.seal(Kind::Swim, None, NOW, b"1")), known(b"1"));
    b.set_keys(keys("shop", b"n"));
    assert_eq!(open(&mut b, &a.seal(Kind::Swim, None, NOW, b"2")), Err(Dropped::Unauthentic));
}

#[test]
fn no_nonce_is_used_twice_with_a_key() {
    let mut a = node(A, b"s");
    let first = a.seal(Kind::Swim, None, NOW, b"tea");
    a.set_keys(keys("shop", b"s"));
    let second = a.seal(Kind::Swim, None, NOW, b"tea");
    assert_ne!(first[30..46], second[30..46], "session and sequence");
    let again = Envelope::new(keys("shop", b"s"), A, Incarnation(10), 2, 8).seal(Kind::Swim, None, NOW, b"tea");
    assert_ne!(first[46..], again[46..], "another session has another key, in the same life too");
}

#[test]
fn a_later_life_ends_the_earlier() {
    let mut b = node(B, b"s");
    let early =
        |kind, session| Envelope::new(keys("shop", b"s"), A, Incarnation(9), session, 8).seal(kind, None, NOW, b"");
    assert_eq!(open(&mut b, &early(Kind::Swim, 1)), known(b""));
    assert_eq!(open(&mut b, &node(A, b"s").seal(Kind::Swim, None, NOW, b"")), known(b""));
    assert_eq!(open(&mut b, &early(Kind::Swim, 2)), Err(Dropped::Stale));
    // A knock is answered, but nothing of its sender is noted.
    let stale = Ok((Standing::Stale(Incarnation(10)), Vec::new()));
    assert_eq!(open(&mut b, &early(Kind::Knock, 2)), stale);
    assert_eq!(open(&mut b, &early(Kind::Knock, 2)), stale);
    let mut forged = early(Kind::Knock, 3).to_vec();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(open(&mut b, &forged), Err(Dropped::Unauthentic));
}

#[test]
fn a_node_knows_its_own_voice_and_that_of_its_namesake() {
    let mut a = node(A, b"s");
    let own = a.seal(Kind::Knock, None, NOW, b"");
    assert_eq!(open(&mut a, &own), Err(Dropped::Own));
    let other = Envelope::new(keys("shop", b"s"), A, Incarnation(11), 2, 8).seal(Kind::Swim, None, NOW, b"");
    assert_eq!(open(&mut a, &other), Ok((Standing::Namesake, Vec::new())));
    let stranger = Envelope::new(keys("shop", b"t"), A, Incarnation(11), 2, 8).seal(Kind::Swim, None, NOW, b"");
    assert_eq!(open(&mut a, &stranger), Err(Dropped::Unauthentic));
}

#[test]
fn strangers_take_no_room() {
    let mut b = node(B, b"s");
    for id in 10..1000 {
        let stranger =
            Envelope::new(keys("shop", b"t"), NodeId(id), Incarnation(1), 1, 8).seal(Kind::Swim, None, NOW, b"");
        assert!(open(&mut b, &stranger).is_err());
    }
    assert_eq!(b.known_senders(), 0);
    for id in 10..1000 {
        let sealed =
            Envelope::new(keys("shop", b"s"), NodeId(id), Incarnation(1), 1, 8).seal(Kind::Swim, None, NOW, b"");
        assert_eq!(open(&mut b, &sealed), known(b""));
    }
    assert_eq!(b.known_senders(), 8, "there is a most");
}

#[test]
fn each_tells_the_other_when_it_was_heard() {
    let (mut a, mut b) = (node(A, b"s"), node(B, b"s"));
    let at = |millis| Tick::from_millis(millis);
    let mut first = a.seal(Kind::Swim, Some(B), at(100), b"").to_vec();
    assert_eq!(b.open(&mut first, at(5)).unwrap().prefix.echo, 0, "nothing was heard yet");
    let mut back = b.seal(Kind::Swim, Some(A), at(6), b"").to_vec();
    let prefix = a.open(&mut back, at(101)).unwrap().prefix;
    assert_eq!((prefix.echo, prefix.session), (101, 1), "a's own time, plus one, in its session");
}

#[test]
fn nothing_secret_is_shown() {
    let shown = format!("{:?} {:?}", node(A, b"s"), GossipSecret::new(b"0123456789abcdef").unwrap());
    assert!(!shown.contains("115, 115") && !shown.contains("0123") && shown.contains("secrets: 1"), "{shown}");
    let mut b = node(B, b"s");
    assert!(open(&mut b, &node(A, b"s").seal(Kind::Swim, None, NOW, b"")).is_ok());
    assert!(!format!("{b:?}").contains("Some([") && !format!("{b:?}").contains("Zeroizing"), "{b:?}");
}
