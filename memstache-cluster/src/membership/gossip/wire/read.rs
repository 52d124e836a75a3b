//! Cards as bytes.
//!
//! ```text
//! key:     id u64 | incarnation u64 | revision u32 | gossip address
//! details: address | weight u16 | oldest u8 | newest u8 | state u8 | name: u8, bytes | zone: u8, bytes (none if empty)
//! address: 4 | 4 bytes | port u16, or 6 | 16 bytes | port u16
//! ```

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use bytes::{Buf, BufMut};

use super::{Card, Details, Key, Malformed};
use crate::member::{Incarnation, MAX_NODE_NAME, MAX_ZONE, MemberState, NodeId, NodeName, Protocols, Weight, Zone};

type Result<T> = std::result::Result<T, Malformed>;

pub(in super::super) fn put_card(card: &Card, out: &mut impl BufMut) {
    put_key(&card.key, out);
    if let Some(details) = &card.details {
        put_details(details, out);
    }
}

pub(super) fn put_key(key: &Key, out: &mut impl BufMut) {
    out.put_u64(key.id.0);
    out.put_u64(key.incarnation.0);
    out.put_u32(key.revision);
    put_address(key.gossip, out);
}

fn put_details(details: &Details, out: &mut impl BufMut) {
    put_address(details.address, out);
    out.put_u16(details.weight.get());
    out.put_u8(details.protocols.oldest());
    out.put_u8(details.protocols.newest());
    out.put_u8(match details.state {
        MemberState::Joining => 0,
        MemberState::Active => 1,
        MemberState::Draining => 2,
    });
    put_text(details.name.as_str(), out);
    put_text(details.zone.as_ref().map_or("", Zone::as_str), out);
}

/// Names and zones are shorter than 256 bytes.
fn put_text(text: &str, out: &mut impl BufMut) {
    out.put_u8(text.len() as u8);
    out.put_slice(text.as_bytes());
}

fn put_address(address: SocketAddr, out: &mut impl BufMut) {
    match address.ip() {
        IpAddr::V4(ip) => {
            out.put_u8(4);
            out.put_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.put_u8(6);
            out.put_slice(&ip.octets());
        }
    }
    out.put_u16(address.port());
}

/// Reads a key and details.
pub(in super::super) fn get_card(buf: &mut impl Buf) -> Result<Card> {
    let key = get_key(buf)?;
    let details = get_details(buf)?;
    if NodeId::of(&details.name) != key.id {
        return Err(Malformed("an id is not that of its name"));
    }
    Ok(Card { key, details: Some(Arc::new(details)) })
}

pub(super) fn get_key(buf: &mut impl Buf) -> Result<Key> {
    Ok(Key {
        id: NodeId(get_u64(buf)?),
        incarnation: Incarnation(get_u64(buf)?),
        revision: buf.try_get_u32().map_err(cut)?,
        gossip: get_address(buf)?,
    })
}

fn get_details(buf: &mut impl Buf) -> Result<Details> {
    let address = get_address(buf)?;
    let weight = Weight::new(buf.try_get_u16().map_err(cut)?).map_err(|_| Malformed("a weight is out of range"))?;
    let (oldest, newest) = (get_u8(buf)?, get_u8(buf)?);
    let protocols = Protocols::new(oldest, newest).map_err(|_| Malformed("protocols are the wrong way round"))?;
    let state = match get_u8(buf)? {
        0 => MemberState::Joining,
        1 => MemberState::Active,
        2 => MemberState::Draining,
        _ => return Err(Malformed("a state is unknown")),
    };
    let name = get_text(buf, MAX_NODE_NAME, |text| NodeName::new(text).ok())?;
    let zone =
        get_text(buf, MAX_ZONE, |text| if text.is_empty() { Some(None) } else { Zone::new(text).ok().map(Some) })?;
    Ok(Details { address, weight, protocols, state, name, zone })
}

fn get_text<T>(buf: &mut impl Buf, max: usize, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
    let len = usize::from(get_u8(buf)?);
    let mut bytes = [0; 256];
    let Some(bytes) = bytes.get_mut(..len).filter(|_| len <= max) else { return Err(Malformed("a name is too long")) };
    buf.try_copy_to_slice(bytes).map_err(cut)?;
    let text = std::str::from_utf8(bytes).ok();
    text.and_then(parse).ok_or(Malformed("a name has characters that it must not have"))
}

fn get_address(buf: &mut impl Buf) -> Result<SocketAddr> {
    let ip = match get_u8(buf)? {
        4 => {
            let mut ip = [0; 4];
            buf.try_copy_to_slice(&mut ip).map_err(cut)?;
            IpAddr::V4(Ipv4Addr::from(ip))
        }
        6 => {
            let mut ip = [0; 16];
            buf.try_copy_to_slice(&mut ip).map_err(cut)?;
            IpAddr::V6(Ipv6Addr::from(ip))
        }
        _ => return Err(Malformed("an address is of no kind")),
    };
    match buf.try_get_u16().map_err(cut)? {
        0 => Err(Malformed("an address has no port")),
        port => Ok(SocketAddr::new(ip, port)),
    }
}

pub(super) fn get_u8(buf: &mut impl Buf) -> Result<u8> {
    buf.try_get_u8().map_err(cut)
}

pub(in super::super) fn get_u64(buf: &mut impl Buf) -> Result<u64> {
    buf.try_get_u64().map_err(cut)
}

pub(super) fn cut(_: bytes::TryGetError) -> Malformed {
    Malformed("it is cut short")
}
