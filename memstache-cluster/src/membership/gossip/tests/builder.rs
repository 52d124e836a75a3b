//! What gossip is made of is checked as a whole.

use std::sync::Arc;

use memstache_core::ErrorKind;

use crate::{
    member::Member,
    membership::gossip::{Gossip, GossipSecret},
    net::SimNetwork,
};

fn me() -> Member {
    Member::at(([10, 0, 0, 1], 3320).into())
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once() {
    let socket = Arc::new(SimNetwork::new(1).host([10, 0, 0, 1]).datagrams(3320).unwrap());
    let me = me().with_gossip(([0, 0, 0, 0], 3320).into());
    let error = Gossip::builder("a b", me).max_members(0).start(socket).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        error.to_string(),
        "cluster must be 1 to 64 visible ASCII characters, but 3 bytes was given; secrets must be at least one, or \
         insecure_plaintext asked for by name, but none was given; max_members must be 1 to 65535, but 0 was given; gossip \
         address must be one that others can reach, but 0.0.0.0:3320 was given"
    );
}

#[tokio::test]
async fn secrets_and_plaintext_exclude_each_other() {
    let network = SimNetwork::new(1);
    let socket = |host| Arc::new(network.host([10, 0, 0, host]).datagrams(3320).unwrap());
    let secret = || GossipSecret::new([1; 16]).unwrap();
    let both = Gossip::builder("c", me()).secret(secret()).insecure_plaintext().start(socket(1)).unwrap_err();
    assert_eq!(both.to_string(), "insecure_plaintext must not be asked for beside a secret");
    let many = (0..5).fold(Gossip::builder("c", me()), |builder, _| builder.secret(secret()));
    assert_eq!(many.start(socket(2)).unwrap_err().to_string(), "secrets must be at most 4, but 5 was given");

    let plain = Gossip::builder("c", me()).insecure_plaintext().start(socket(3)).unwrap();
    let error = plain.set_secrets(&[secret()]).unwrap_err().to_string();
    assert_eq!(error, "secrets cannot be set on a node that speaks in the clear");
    let sealed = Gossip::builder("c", me()).secret(secret()).start(socket(4)).unwrap();
    assert_eq!(sealed.set_secrets(&[]).unwrap_err().to_string(), "secrets must be 1 to 4, but 0 was given");
    sealed.set_secrets(&[secret(), secret()]).unwrap();
}

#[test]
fn secrets_have_a_length() {
    for len in [0, 15, 65] {
        let error = GossipSecret::new(vec![0; len]).unwrap_err().to_string();
        assert_eq!(error, format!("gossip secret must be 16 to 64 bytes long, but {len} bytes was given"));
    }
    assert!([16, 24, 32, 64].into_iter().all(|len| GossipSecret::new(vec![0; len]).is_ok()));
}
