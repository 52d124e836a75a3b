//! Both ends of a handshake, for fuzzing.

use bytes::Bytes;

use super::{
    handshake::{Dialler, Limits, Listening},
    local::Local,
};
use crate::wire::{Frame, Header, Kind};

/// Says something to the listener (0), to the dialler (1), or to the listener in the place of the proof (2).
pub(crate) fn handshake(near: &Local, far: &Local, data: &[u8]) -> bool {
    let Some((whom, body)) = data.split_first() else { return false };
    let said = |kind| Frame { header: Header::new(kind, 0), body: Bytes::copy_from_slice(body) };
    let listening = Listening { local: far, limits: Limits { in_flight: 1, frame: 4096 } };
    let dialler = Dialler::new(near, far.node, [1; 32]);
    match whom % 3 {
        0 => listening.greeted(&said(Kind::Hello), [2; 32]).is_ok(),
        1 => {
            let kind = if body.len() == 1 { Kind::Refused } else { Kind::Welcome };
            dialler.welcomed(&said(kind)).is_ok()
        }
        _ => {
            let hello = Frame { body: Bytes::copy_from_slice(dialler.hello()), ..said(Kind::Hello) };
            let (guest, _) = listening.greeted(&hello, [2; 32]).expect("they know each other");
            guest.proved(&said(Kind::Proof)).is_ok()
        }
    }
}
