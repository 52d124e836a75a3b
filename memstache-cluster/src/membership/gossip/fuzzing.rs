//! What the fuzz target runs, also run by a normal test over its corpus.

use std::{net::SocketAddr, time::Duration};

use foca::Codec as _;
use memstache_core::Tick;

use super::{
    machine::{Machine, Start},
    parameters::{MAX_BODY, MAX_PACKET},
    seal::{Envelope, Keys},
    wire::{CardCodec, HEADER, Kind, Own, Prefix, ids_in},
};
use crate::member::{Incarnation, Member, NodeId, NodeName};

const MAX_MEMBERS: usize = 20;
const CLUSTER: &str = "fuzz";

/// Plays a sequence of datagrams, lists of members and pauses to a node. Returns whether it took any of them.
///
/// Each step is a byte that says what it is, two bytes of length, and as many bytes.
pub fn gossip(data: &[u8]) -> bool {
    let start = Tick::from_millis(1_000_000);
    let (mut now, mut node, mut rest) = (start, machine(start), data);
    let me = node.me().clone();
    let from: SocketAddr = ([10, 0, 0, 9], 3322).into();
    let mut senders = ["a", "b"].map(|name| envelope(name, 5));
    while let Some(([step, high, low], more)) = rest.split_first_chunk() {
        let (bytes, after) = more.split_at(more.len().min(usize::from(u16::from_be_bytes([*high, *low]))));
        rest = after;
        match step % 8 {
            0 => node.on_datagram(from, &mut bytes.to_vec(), now),
            kind @ 1..=4 => {
                let kind = [Kind::Knock, Kind::Welcome, Kind::Stale, Kind::Swim][usize::from(kind) - 1];
                let body = &bytes[..bytes.len().min(MAX_BODY)];
                let prefix = Prefix { sent: now.as_millis(), echo: now.as_millis(), session: 1 };
                let sender = &mut senders[usize::from(step >> 7)];
                node.on_datagram(from, &mut sender.seal_with(kind, prefix, body).to_vec(), now);
            }
            5 => drop(node.merge(bytes, now)),
            6 => {
                now = now.after(Duration::from_millis(bytes.len() as u64 * 8));
                node.on_time(now);
            }
            _ => reads(bytes),
        }
        let sent = std::iter::from_fn(|| node.poll_send()).map(|(_, datagram)| datagram.len());
        assert!(sent.into_iter().all(|len| (HEADER..=MAX_PACKET).contains(&len)), "a datagram of another length");
        while node.poll_wish().is_some() {}
    }
    let members = node.poll_members(Tick::NEVER).unwrap_or_default();
    assert!(members.len() <= MAX_MEMBERS + 1, "more members than there may be");
    assert!(members.is_empty() || members.iter().filter(|member| member.id == me.id).count() <= 1);
    // By another name: a life of this node's own that is earlier than the one it may have begun would refuse it.
    let mut other = named("reader", start, 1);
    other.merge(&node.state(), start).expect("what was written is read");
    node.stats().received > 0 || members.len() > 1
}

/// What is read as a message is written the same, but for the lists behind it.
fn reads(bytes: &[u8]) {
    let own = Own { id: NodeId(1), incarnation: 1.into(), revision: 0.into(), rival: parking_lot::Mutex::default() };
    let mut codec = CardCodec(own.into());
    let mut left = bytes;
    if let Ok(header) = codec.decode_header(&mut left) {
        let mut again = Vec::new();
        codec.encode_header(&header, &mut again).expect("there is room");
        assert_eq!(again, bytes[..bytes.len() - left.len()], "a message is written otherwise than it was read");
    }
    let mut left = bytes;
    if let Ok(member) = codec.decode_member(&mut left) {
        let mut again = Vec::new();
        codec.encode_member(&member, &mut again).expect("there is room");
        assert_eq!(again, bytes[..bytes.len() - left.len()], "a member is written otherwise than it was read");
    }
    // A count that lies must not make room for what does not come.
    drop(ids_in(bytes));
}

/// What a node says is what others can take: a beginning for the fuzzer. Each is a whole input.
pub fn seeds() -> Vec<Vec<u8>> {
    let start = Tick::from_millis(1_000_000);
    let mut seeds = Vec::new();
    let step = |step: u8, bytes: &[u8]| {
        let len = (bytes.len() as u16).to_be_bytes();
        [&[step, len[0], len[1]], bytes].concat()
    };
    let (mut me, mut all) = (machine(start), Vec::new());
    for other in 0..40_u8 {
        let name: NodeName = format!("node-{other}").parse().expect("a name");
        let member = Member::new(name, ([10, 0, 1, other], 1 + u16::from(other)).into());
        let card = super::wire::Card::of(&member.with_incarnation(Incarnation(u64::from(other))), u32::from(other));
        let state = [foca::State::Alive, foca::State::Suspect, foca::State::Down][usize::from(other) % 3];
        let mut bytes = Vec::new();
        super::wire::encode_member(&foca::Member::new(card, u16::from(other), state), &mut bytes);
        seeds.push(step(5, &bytes));
        seeds.push(step(7, &bytes));
        all.extend(bytes);
    }
    seeds.push(step(5, &all));
    seeds.push(step(5, &me.state()));
    let _ = me.merge(&all[..all.len() / 2], start);
    for name in ["a", "b"] {
        let mut other = named(name, start, 5);
        other.set_seeds(vec![me.me().gossip], start);
        let (mut now, mut story) = (start, Vec::new());
        for _ in 0..120 {
            now = now.after(Duration::from_millis(50));
            let knock = other.me().gossip;
            other.on_time(now);
            me.on_time(now);
            while let Some((to, datagram)) = other.poll_send() {
                if to == me.me().gossip {
                    seeds.push(step(0, &datagram));
                    let kind = datagram[1] & 7;
                    let high = if name == "a" { 0 } else { 0x80 };
                    story.extend(step(kind | high, &datagram[HEADER + super::wire::PREFIX..]));
                    seeds.push(story.clone());
                    me.on_datagram(knock, &mut datagram.to_vec(), now);
                }
            }
            while let Some((to, datagram)) = me.poll_send() {
                seeds.push(step(7, &datagram[HEADER + super::wire::PREFIX..]));
                if to == other.me().gossip {
                    other.on_datagram(me.me().gossip, &mut datagram.to_vec(), now);
                }
            }
            story.extend(step(6, &[0; 6]));
        }
    }
    seeds
}

fn machine(now: Tick) -> Machine {
    named("me", now, 1)
}

fn named(name: &str, now: Tick, session: u64) -> Machine {
    let last = name.bytes().last().unwrap_or_default();
    let me = Member::new(name.parse().expect("a name"), ([10, 0, 0, last], 3322).into());
    Machine::new(Start {
        me: me.with_incarnation(Incarnation(7)),
        keys: Keys::new(CLUSTER, &[]),
        max_members: MAX_MEMBERS,
        has_stream: true,
        now,
        session,
        seed: 7,
    })
}

fn envelope(name: &str, session: u64) -> Envelope {
    let id = NodeId::of(&name.parse().expect("a name"));
    Envelope::new(Keys::new(CLUSTER, &[]), id, Incarnation(7), session, 4)
}
