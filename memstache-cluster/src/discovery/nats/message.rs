//! What nodes tell each other on the subject: a line of JSON, so that people can read along.

use std::net::SocketAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The longest message that is read.
const MAX: usize = 512;
/// What is written; other versions are not understood.
const VERSION: u8 = 1;

/// ```json
/// {"v":1,"kind":"here","at":"10.0.0.1:3322"}
/// ```
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Message {
    v: u8,
    pub(super) kind: Kind,
    /// The gossip address that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// A node is there: told when it registers, as long as it is, and to who asks.
    Here,
    /// A node is there no more.
    Gone,
    /// Who is there? To be answered at the reply subject.
    Who,
}

impl Message {
    pub(super) fn about(kind: Kind, at: SocketAddr) -> Self {
        Self { v: VERSION, kind, at: Some(at) }
    }

    pub(super) fn request() -> Self {
        Self { v: VERSION, kind: Kind::Who, at: None }
    }

    pub(super) fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("a message without maps can be written").into()
    }

    /// `None` for what is no message of ours.
    pub(super) fn decode(text: &[u8]) -> Option<Self> {
        let message: Self = (text.len() <= MAX).then(|| serde_json::from_slice(text).ok())??;
        (message.v == VERSION).then_some(message)
    }

    /// The address of a node that says that it is there.
    pub(super) fn present(&self) -> Option<SocketAddr> {
        self.address(Kind::Here)
    }

    /// The address of a node that says that it is gone.
    pub(super) fn gone(&self) -> Option<SocketAddr> {
        self.address(Kind::Gone)
    }

    fn address(&self, kind: Kind) -> Option<SocketAddr> {
        let reachable = |at: &SocketAddr| at.port() != 0 && !at.ip().is_unspecified();
        self.at.filter(|at| self.kind == kind && reachable(at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_lines_of_json() {
        let at: SocketAddr = "[fd00::1]:3322".parse().unwrap();
        let here = Message::about(Kind::Here, at);
        assert_eq!(&here.encode()[..], br#"{"v":1,"kind":"here","at":"[fd00::1]:3322"}"#);
        assert_eq!(&Message::request().encode()[..], br#"{"v":1,"kind":"who"}"#);
        assert_eq!(Message::decode(&here.encode()), Some(here));
        assert_eq!(Message::about(Kind::Gone, at).gone(), Some(at));
        assert_eq!(Message::about(Kind::Gone, at).present(), None);
    }

    #[test]
    fn what_is_none_of_ours_is_no_message() {
        let long = format!(r#"{{"v":1,"kind":"here","x":"{}"}}"#, "x".repeat(MAX));
        for text in ["", "{", "[]", "null", r#"{"v":2,"kind":"here"}"#, r#"{"v":1,"kind":"there"}"#, &long] {
            assert_eq!(Message::decode(text.as_bytes()), None, "{text}");
        }
        for at in ["0.0.0.0:1", "10.0.0.1:0"] {
            assert_eq!(Message::about(Kind::Here, at.parse().unwrap()).present(), None, "{at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            if let Some(message) = Message::decode(&bytes) {
                prop_assert_eq!(Message::decode(&message.encode()), Some(message));
            }
        }
    }
}
