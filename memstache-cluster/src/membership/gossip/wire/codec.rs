//! How foca's messages are written.
//!
//! ```text
//! header: src card | src incarnation u16 | dst key | message u8 | its fields: probe u8, and for 2, 3, 4 and 5 a key
//! member: u8: state, +128 with details | incarnation u16 | key | details
//! ```
//!
//! The dead come without details.

use std::{
    fmt,
    net::SocketAddr,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use bytes::{Buf, BufMut};
use foca::{Codec, Header, Member, Message, State};
use parking_lot::Mutex;

use super::{
    Card,
    read::{cut, get_card, get_key, get_u8, put_card, put_key},
};
use crate::member::{Incarnation, NodeId};

/// Bytes that are not what they should be. Says which rule they break, and nothing of what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Malformed(pub(in super::super) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

type Result<T> = std::result::Result<T, Malformed>;

/// What the codec must know of this node, and what it learns for it.
#[derive(Debug)]
pub(in super::super) struct Own {
    pub(in super::super) id: NodeId,
    pub(in super::super) incarnation: AtomicU64,
    /// Which description of this life is the last one.
    pub(in super::super) revision: AtomicU32,
    /// A later life of this node, of which others told.
    pub(in super::super) rival: Mutex<Option<Rival>>,
}

/// A later life of this node that others know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Rival {
    pub(in super::super) incarnation: Incarnation,
    pub(in super::super) address: Option<SocketAddr>,
    /// It is known to be dead: nobody contends for the name.
    pub(in super::super) dead: bool,
}

/// Writes and reads foca's messages.
#[derive(Debug)]
pub(in super::super) struct CardCodec(pub(in super::super) std::sync::Arc<Own>);

impl CardCodec {
    /// Notes a later life of this node; foca must not hear of it, or it would declare it dead.
    fn check_own(&self, member: &Member<Card>) -> Result<()> {
        let key = &member.id().key;
        if key.id != self.0.id || key.incarnation.0 <= self.0.incarnation.load(Ordering::Relaxed) {
            return Ok(());
        }
        let dead = member.state() == State::Down;
        *self.0.rival.lock() = Some(Rival { incarnation: key.incarnation, address: Some(key.gossip), dead });
        Err(Malformed("it tells of a later life of this node"))
    }
}

impl Codec<Card> for CardCodec {
    type Error = Malformed;

    fn encode_header(&mut self, header: &Header<Card>, mut buf: impl BufMut) -> Result<()> {
        let mut out = Vec::with_capacity(256);
        put_card(&header.src, &mut out);
        out.put_u16(header.src_incarnation);
        put_key(&header.dst.key, &mut out);
        put_message(&header.message, &mut out);
        put(&out, &mut buf)
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<Card>> {
        let mut header = get_header(&mut buf)?;
        let own = &self.0;
        // Foca takes an announcement for any life of this node; a replayed one was for an earlier.
        if header.dst.key.id == own.id && header.dst.key.incarnation.0 != own.incarnation.load(Ordering::Relaxed) {
            return Err(Malformed("it is for another life of this node"));
        }
        // Who has not heard yet that this node describes itself anew speaks to it all the same. Foca would not listen, and nodes
        // that change at once, as they do when they start together, would take each other for dead. What tells an earlier
        // description that it is dead does not concern this one.
        let now = own.revision.load(Ordering::Relaxed);
        if header.dst.key.id == own.id && header.dst.key.revision < now && header.message != Message::TurnUndead {
            header.dst.key.revision = now;
        }
        Ok(header)
    }

    fn encode_member(&mut self, member: &Member<Card>, mut buf: impl BufMut) -> Result<()> {
        let mut out = Vec::with_capacity(128);
        encode_member(member, &mut out);
        put(&out, &mut buf)
    }

    fn decode_member(&mut self, mut buf: impl Buf) -> Result<Member<Card>> {
        let member = get_member(&mut buf)?;
        self.check_own(&member)?;
        Ok(member)
    }
}

/// Reads members up to the end.
pub(in super::super) fn decode_state(codec: &mut CardCodec, mut bytes: &[u8], max: usize) -> Result<Vec<Member<Card>>> {
    let mut members = Vec::new();
    while bytes.has_remaining() {
        if members.len() == max {
            return Err(Malformed("it has more members than there may be"));
        }
        members.push(codec.decode_member(&mut bytes)?);
    }
    Ok(members)
}

/// Which nodes a message would make known.
pub(in super::super) fn ids_in(mut body: &[u8]) -> Result<Vec<NodeId>> {
    let header = get_header(&mut body)?;
    let mut ids = vec![header.src.key.id];
    if body.remaining() >= 2 && header.message != Message::Broadcast {
        for _ in 0..body.get_u16() {
            ids.push(get_member(&mut body)?.id().key.id);
        }
    }
    Ok(ids)
}

pub(in super::super) fn encode_member(member: &Member<Card>, out: &mut impl BufMut) {
    let card = member.id();
    let down = member.state() == State::Down;
    let state = match member.state() {
        State::Alive => 0,
        State::Suspect => 1,
        State::Down => 2,
    };
    let full = !down && card.details.is_some();
    out.put_u8(state | if full { FULL } else { 0 });
    out.put_u16(member.incarnation());
    if full { put_card(card, out) } else { put_key(&card.key, out) }
}

const FULL: u8 = 0x80;

fn get_member(buf: &mut impl Buf) -> Result<Member<Card>> {
    let flags = get_u8(buf)?;
    let state = match flags & !FULL {
        0 => State::Alive,
        1 => State::Suspect,
        2 => State::Down,
        _ => return Err(Malformed("the state of a member is unknown")),
    };
    let incarnation = buf.try_get_u16().map_err(cut)?;
    let full = flags & FULL != 0;
    if full == (state == State::Down) {
        return Err(Malformed("whoever is alive has details, and nobody else"));
    }
    let card = if full { get_card(buf)? } else { Card { key: get_key(buf)?, details: None } };
    Ok(Member::new(card, incarnation, state))
}

fn get_header(buf: &mut impl Buf) -> Result<Header<Card>> {
    Ok(Header {
        src: get_card(buf)?,
        src_incarnation: buf.try_get_u16().map_err(cut)?,
        dst: Card { key: get_key(buf)?, details: None },
        message: get_message(buf)?,
    })
}

fn put_message(message: &Message<Card>, out: &mut impl BufMut) {
    let (tag, probe, target) = match message {
        Message::Ping(probe) => (0, Some(*probe), None),
        Message::Ack(probe) => (1, Some(*probe), None),
        Message::PingReq { target, probe_number } => (2, Some(*probe_number), Some(target)),
        Message::IndirectPing { origin, probe_number } => (3, Some(*probe_number), Some(origin)),
        Message::IndirectAck { target, probe_number } => (4, Some(*probe_number), Some(target)),
        Message::ForwardedAck { origin, probe_number } => (5, Some(*probe_number), Some(origin)),
        Message::Announce => (6, None, None),
        Message::Feed => (7, None, None),
        Message::Gossip => (8, None, None),
        Message::Broadcast => (9, None, None),
        Message::TurnUndead => (10, None, None),
    };
    out.put_u8(tag);
    if let Some(probe) = probe {
        out.put_u8(probe);
    }
    if let Some(target) = target {
        put_key(&target.key, out);
    }
}

fn get_message(buf: &mut impl Buf) -> Result<Message<Card>> {
    let tag = get_u8(buf)?;
    Ok(match tag {
        0 | 1 => {
            let probe = get_u8(buf)?;
            if tag == 0 { Message::Ping(probe) } else { Message::Ack(probe) }
        }
        2..=5 => {
            let probe_number = get_u8(buf)?;
            let target = Card { key: get_key(buf)?, details: None };
            match tag {
                2 => Message::PingReq { target, probe_number },
                3 => Message::IndirectPing { origin: target, probe_number },
                4 => Message::IndirectAck { target, probe_number },
                _ => Message::ForwardedAck { origin: target, probe_number },
            }
        }
        6 => Message::Announce,
        7 => Message::Feed,
        8 => Message::Gossip,
        9 => Message::Broadcast,
        10 => Message::TurnUndead,
        _ => return Err(Malformed("the message is unknown")),
    })
}

fn put(bytes: &[u8], buf: &mut impl BufMut) -> Result<()> {
    if buf.remaining_mut() < bytes.len() {
        return Err(Malformed("it does not fit"));
    }
    buf.put_slice(bytes);
    Ok(())
}
