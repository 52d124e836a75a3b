//! Whatever comes from outside, the cluster stands.

use std::{net::SocketAddr, time::Duration};

use memstache_core::Tick;
use proptest::prelude::*;

use crate::{
    member::{Incarnation, Member, NodeId},
    membership::gossip::{
        GossipSecret,
        machine::{Machine, Start},
        parameters::MAX_PACKET,
        seal::Keys,
        simulation::{Settings, Simulation},
        wire::{Card, encode_member},
    },
};

const NOW: Tick = Tick::from_millis(1_000_000);

fn stranger() -> SocketAddr {
    ([192, 0, 2, 1], 1).into()
}

fn machine(secret: bool, max_members: usize) -> Machine {
    let secrets: Vec<_> = secret.then(|| GossipSecret::new([1; 16]).unwrap()).into_iter().collect();
    let me = Member::at(([10, 0, 0, 1], 3322).into()).with_incarnation(Incarnation(7));
    let keys = Keys::new("c", &secrets);
    Machine::new(Start { me, keys, max_members, has_stream: false, now: NOW, session: 1, seed: 1 })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn garbage_is_counted_and_that_is_all(
        secret in any::<bool>(),
        mut datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20),
    ) {
        let mut machine = machine(secret, 10);
        for datagram in &mut datagrams {
            machine.on_datagram(stranger(), datagram, NOW);
        }
        prop_assert_eq!(machine.stats().dropped(), datagrams.len() as u64);
        prop_assert_eq!(machine.poll_send(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn real_datagrams_changed_or_repeated_do_no_harm(seed in any::<u64>(), changes in any::<[u16; 8]>()) {
        let mut cluster = Simulation::new(5, Settings::new(seed));
        cluster.start_all();
        prop_assert!(cluster.run_until(Duration::from_secs(10), Simulation::agree).is_some());
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut old = Vec::new();
        for change in changes {
            cluster.run_for(Duration::from_millis(rng.u64(1..400)));
            old.extend(cluster.under_way());
            for (_, from, datagram) in &old {
                let node = rng.usize(..5);
                cluster.inject(node, *from, datagram);
                let mut changed = datagram.to_vec();
                changed[usize::from(change) % datagram.len()] ^= 1 << rng.u32(..8);
                cluster.inject(node, stranger(), &changed);
                cluster.inject(node, stranger(), &datagram[..rng.usize(..datagram.len())]);
            }
        }
        cluster.run_for(Duration::from_secs(3));
        prop_assert!(cluster.agree());
        prop_assert!((0..5).all(|node| cluster.stats(node).lost == 0), "nobody was taken for dead");
    }
}

#[test]
fn sixty_four_mebibytes_of_garbage_leave_nothing_behind() {
    let mut machine = machine(true, 10);
    let mut rng = fastrand::Rng::with_seed(1);
    let mut datagram = vec![0; 64 << 10];
    let mut real = machine_datagram();
    for _ in 0..1024 {
        rng.fill(&mut datagram);
        // A good beginning, so that it is looked at as far as can be.
        datagram[..46].copy_from_slice(&real[..46]);
        machine.on_datagram(stranger(), &mut datagram.clone(), NOW);
        machine.on_datagram(stranger(), &mut datagram[..MAX_PACKET].to_vec(), NOW);
    }
    assert_eq!(machine.stats().dropped(), 2048);
    assert_eq!(machine.stats().malformed, 1024, "what is longer than any datagram is not opened");
    assert_eq!((machine.poll_send(), machine.known_senders()), (None, 0));
    machine.on_datagram(stranger(), &mut real, NOW);
    assert_eq!(machine.stats().received, 1, "the real one is taken as if nothing had been");
}

/// A knock of another node of the same cluster.
fn machine_datagram() -> Vec<u8> {
    let me = Member::at(([10, 0, 0, 2], 3322).into()).with_incarnation(Incarnation(7));
    let keys = Keys::new("c", &[GossipSecret::new([1; 16]).unwrap()]);
    let start = Start { me, keys, max_members: 10, has_stream: false, now: NOW, session: 2, seed: 2 };
    let mut other = Machine::new(start);
    other.set_seeds(vec![([10, 0, 0, 1], 3322).into()], NOW);
    other.on_time(NOW);
    other.poll_send().expect("it knocks").1.to_vec()
}

#[test]
fn nobody_gets_more_than_he_sends() {
    let mut machine = machine(true, 10);
    let mut knock = machine_datagram();
    machine.on_datagram(stranger(), &mut knock, NOW);
    let answers: Vec<_> = std::iter::from_fn(|| machine.poll_send()).collect();
    assert_eq!(answers.len(), 1);
    assert!(answers[0].1.len() <= knock.len(), "{} for {}", answers[0].1.len(), knock.len());
}

#[test]
fn there_are_no_more_members_than_there_may_be() {
    let mut machine = machine(false, 10);
    let many: Vec<u8> = (0..200_u8).flat_map(|host| member(host, 0)).collect();
    assert!(machine.merge(&many, NOW).is_err(), "more than there may be at all");
    let some: Vec<u8> = (0..10_u8).flat_map(|host| member(host, 0)).collect();
    machine.merge(&some, NOW).unwrap();
    let more: Vec<u8> = (20..30_u8).flat_map(|host| member(host, 0)).collect();
    machine.merge(&more, NOW).unwrap();
    assert_eq!(machine.poll_members(Tick::NEVER).unwrap().len(), 11, "ten and this node");
}

fn member(host: u8, revision: u32) -> Vec<u8> {
    let member = Member::at(([10, 0, 1, host], 3322).into()).with_incarnation(Incarnation(1));
    let mut bytes = Vec::new();
    encode_member(&foca::Member::alive(Card::of(&member, revision)), &mut bytes);
    bytes
}

#[test]
fn who_flaps_makes_no_timers_grow() {
    let mut machine = machine(false, 10);
    for revision in 0..5000 {
        let member = Member::at(([10, 0, 1, 1], 3322).into()).with_incarnation(Incarnation(1));
        let card = Card::of(&member, revision);
        for state in [foca::State::Alive, foca::State::Down] {
            let mut bytes = Vec::new();
            encode_member(&foca::Member::new(card.clone(), 0, state), &mut bytes);
            machine.merge(&bytes, NOW).unwrap();
        }
        while machine.poll_send().is_some() {}
    }
    assert!(machine.pending_timers() <= 10, "{}", machine.pending_timers());
}

#[test]
fn lists_that_are_wrong_are_refused_whole() {
    let mut machine = machine(false, 10);
    let good = member(1, 0);
    let id_at = 3;
    let mut wrong_id = good.clone();
    wrong_id[id_at] ^= 1;
    let mut alive_without_details = good.clone();
    alive_without_details[0] = 0;
    let mut unknown_state = good.clone();
    unknown_state[0] = 0x83;
    for (what, bytes) in [
        ("an id that is not its name's", wrong_id),
        ("alive without details", alive_without_details),
        ("a state that is unknown", unknown_state),
        ("cut short", good[..good.len() - 1].to_vec()),
        ("followed by garbage", [&good[..], &[9]].concat()),
    ] {
        let error = machine.merge(&bytes, NOW).unwrap_err();
        assert_eq!(error.kind(), memstache_core::ErrorKind::Protocol, "{what}: {error}");
        assert_eq!(machine.poll_members(Tick::NEVER).map_or(1, |members| members.len()), 1, "{what}");
    }
    machine.merge(&good, NOW).unwrap();
    assert!(machine.poll_members(Tick::NEVER).unwrap().contains(NodeId::of(&"10.0.1.1:3322".parse().unwrap())));
}
