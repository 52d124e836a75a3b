//! What is written into datagrams.

mod card;
mod codec;
mod header;
mod prefix;
mod read;

pub(super) use self::{
    card::{Card, Details, Key},
    codec::{CardCodec, Malformed, Own, Rival, decode_state, encode_member, ids_in},
    header::{HEADER, Header, Kind},
    prefix::{PREFIX, Prefix},
    read::{get_card, get_u64, put_card},
};
