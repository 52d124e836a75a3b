use bytes::Bytes;
use memstache_core::Error;
use proptest::prelude::*;

use super::*;
use crate::{
    member::{Incarnation, NodeId, Protocols},
    peer::local::Local,
    wire::{Frame, Header, Kind},
};

const LIMITS: Limits = Limits { in_flight: 9, frame: 4096 };

fn local(node: u64, secrets: &[&str]) -> Local {
    Local::new("shop", NodeId(node), Incarnation(node * 10)).unwrap().with_secrets(secrets).unwrap()
}

fn frame(kind: Kind, body: &[u8]) -> Frame {
    Frame { header: Header::new(kind, 0), body: Bytes::copy_from_slice(body) }
}

/// Goes through a handshake; `change` is the one in the middle.
fn shake(
    near: &Local,
    far: &Local,
    whom: u64,
    change: impl Fn(Kind, &mut Vec<u8>),
) -> Result<(Agreed, Agreed), (&'static str, Option<Refusal>)> {
    let send = |kind: Kind, body: &[u8]| {
        let mut body = body.to_vec();
        change(kind, &mut body);
        frame(kind, &body)
    };
    let refused = |error: &Error| ("dialler", error.find_source::<Refusal>().copied());
    let dialler = Dialler::new(near, NodeId(whom), [1; 32]);
    let listening = Listening { local: far, limits: LIMITS };
    let hello = send(Kind::Hello, dialler.hello());
    let (guest, welcome) = listening.greeted(&hello, [2; 32]).map_err(|refusal| ("listener", Some(refusal)))?;
    let welcome = send(Kind::Welcome, &welcome);
    let (seen_near, proof) = dialler.welcomed(&welcome).map_err(|error| refused(&error))?;
    let proof = send(Kind::Proof, &proof);
    let seen_far = guest.proved(&proof).map_err(|refusal| ("listener", Some(refusal)))?;
    Dialler::admitted(&frame(Kind::Welcome, &[])).unwrap();
    Ok((seen_near, seen_far))
}

fn same(_: Kind, _: &mut Vec<u8>) {}

const OLD: &str = "an old secret of the cluster";
const NEW: &str = "a new secret of the cluster";

#[test]
fn both_learn_who_the_other_is() {
    for secrets in [&[][..], &[OLD]] {
        let (near, far) = shake(&local(1, secrets), &local(2, secrets), 2, same).unwrap();
        let expected = Agreed { node: NodeId(2), incarnation: Incarnation(20), protocol: 1, limits: LIMITS };
        assert_eq!(near, expected);
        assert_eq!(far, Agreed { node: NodeId(1), incarnation: Incarnation(10), ..expected });
    }
}

#[test]
fn secrets_can_be_changed_while_all_run() {
    for (near, far) in
        [(&[OLD][..], &[NEW, OLD][..]), (&[NEW, OLD], &[OLD]), (&[NEW, OLD], &[NEW]), (&[OLD, NEW], &[NEW, OLD])]
    {
        assert!(shake(&local(1, near), &local(2, far), 2, same).is_ok(), "{near:?} {far:?}");
    }
}

#[test]
fn strangers_are_told_why() {
    let far = local(2, &[OLD]);
    let refused = |near: &Local, far: &Local, whom| shake(near, far, whom, same).unwrap_err();
    assert_eq!(refused(&local(1, &[NEW]), &far, 2), ("listener", Some(Refusal::Secret)));
    assert_eq!(refused(&local(1, &[]), &far, 2), ("listener", Some(Refusal::Secret)));
    assert_eq!(refused(&local(1, &[OLD]), &local(2, &[]), 2), ("listener", Some(Refusal::Secret)));
    let other = Local::new("mall", NodeId(1), Incarnation(1)).unwrap().with_secrets(&[OLD]).unwrap();
    assert_eq!(refused(&other, &far, 2), ("listener", Some(Refusal::Cluster)));
    let newer = local(1, &[OLD]).with_protocols(Protocols::new(2, 3).unwrap());
    assert_eq!(refused(&newer, &far, 2), ("listener", Some(Refusal::Protocol)));
    assert_eq!(refused(&local(2, &[OLD]), &far, 2), ("listener", Some(Refusal::Yourself)));
    assert_eq!(
        refused(&local(2, &[OLD]).with_incarnation(Incarnation(7)), &far, 2),
        ("listener", Some(Refusal::SameName))
    );
    assert_eq!(refused(&local(1, &[OLD]), &far, 3), ("listener", Some(Refusal::Another)));
}

#[test]
fn refusals_cross_and_are_errors_that_say_whether_to_try_again() {
    let local = local(1, &[OLD]);
    let dialler = Dialler::new(&local, NodeId(2), [1; 32]);
    for refusal in Refusal::ALL {
        let error = dialler.welcomed(&frame(Kind::Refused, &[refusal.code()])).unwrap_err();
        assert_eq!(error.find_source::<Refusal>(), Some(&refusal));
        assert_eq!(error.is_retryable(), matches!(refusal, Refusal::Busy | Refusal::Stopping | Refusal::Another));
        assert!(!error.may_have_effect());
    }
    for wrong in [&[][..], &[0], &[10], &[1, 1]] {
        assert_eq!(dialler.welcomed(&frame(Kind::Refused, wrong)).unwrap_err().kind(), ErrorKind::Protocol);
    }
    assert!(dialler.welcomed(&frame(Kind::Ping, &[])).is_err());
    assert!(Dialler::admitted(&frame(Kind::Welcome, &[1])).is_err());
    let text = Error::from(Refusal::Secret).to_string();
    assert_eq!(text, "the peer and this node do not know the same secret");
}

#[test]
fn a_proof_cannot_be_reflected_nor_left_out() {
    let (near, far) = (local(1, &[OLD]), local(2, &[OLD]));
    let stolen = std::cell::RefCell::new(Vec::new());
    let reflect = |kind, body: &mut Vec<u8>| match kind {
        Kind::Welcome => *stolen.borrow_mut() = body[body.len() - 32..].to_vec(),
        Kind::Proof => *body = stolen.borrow().clone(),
        _ => {}
    };
    assert_eq!(shake(&near, &far, 2, reflect).unwrap_err(), ("listener", Some(Refusal::Secret)));
    let leave_out = |kind, body: &mut Vec<u8>| {
        if kind == Kind::Proof {
            body.clear()
        }
    };
    assert_eq!(shake(&near, &far, 2, leave_out).unwrap_err(), ("listener", Some(Refusal::Secret)));
    // A listener that knows no secret cannot pretend that none is needed.
    let no_key = |kind, body: &mut Vec<u8>| {
        if kind == Kind::Welcome {
            body.truncate(body.len() - 41);
            body.push(0);
        }
    };
    assert_eq!(shake(&near, &far, 2, no_key).unwrap_err(), ("dialler", Some(Refusal::Secret)));
}

#[test]
fn names_and_secrets_have_limits_that_are_named() {
    let error = |result: memstache_core::Result<Local>| result.unwrap_err().to_string();
    assert_eq!(
        error(Local::new("", NodeId(1), Incarnation(1))),
        "cluster must be 1 to 64 bytes long, but 0 bytes was given"
    );
    assert!(Local::new(&"x".repeat(65), NodeId(1), Incarnation(1)).is_err());
    let local = Local::new("shop", NodeId(1), Incarnation(1)).unwrap();
    assert_eq!(
        error(local.clone().with_secrets(&["short"])),
        "peer secret must be at least 16 bytes long, but 5 bytes was given"
    );
    assert_eq!(error(local.clone().with_secrets(&[OLD; 5])), "peer secrets must be at most 4, but 5 was given");
    let text = format!("{:?}", local.with_secrets(&[OLD]).unwrap());
    assert!(!text.contains("old") && text.contains("secrets: 1"), "{text}");
}

proptest! {
    #[test]
    fn nothing_that_was_said_can_be_changed(what in 0usize..3, at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let kind = [Kind::Hello, Kind::Welcome, Kind::Proof][what];
        let change = |now, body: &mut Vec<u8>| if now == kind {
            let at = at.index(body.len());
            body[at] ^= 1 << bit;
        };
        prop_assert!(shake(&local(1, &[OLD]), &local(2, &[OLD]), 2, change).is_err());
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (near, far) = (local(1, &[OLD]), local(2, &[OLD]));
        let cut = |len: usize| move |_: Kind, body: &mut Vec<u8>| body.truncate(len);
        prop_assert!(shake(&near, &far, 2, |_, body| *body = bytes.clone()).is_err());
        prop_assert!(shake(&near, &far, 2, cut(bytes.len() % 32)).is_err());
    }
}
