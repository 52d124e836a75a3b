//! Limits of connections between peers.

use std::time::Duration;

use memstache_core::{Error, ErrorKind, Result};

use crate::wire::MAX_FRAME;

/// Most connections to a peer.
pub(crate) const MAX_CONNECTIONS: usize = 16;

/// Limits of connections between peers, for both ends.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub(crate) struct PeerConfig {
    /// Connections to each peer: 1 to 16. Default: 1.
    pub(crate) connections: usize,
    /// How long connecting may take, TLS and handshake included. Default: 2 s.
    pub(crate) connect_timeout: Duration,
    /// How long a connection that comes in may take to be ready. Default: 5 s.
    pub(crate) handshake_timeout: Duration,
    /// How long a line is silent, with calls under way, before a ping is sent. Default: 1 s.
    pub(crate) ping_after: Duration,
    /// How long a line is silent, with nothing under way, before a ping is sent. Default: 5 s.
    pub(crate) idle_ping_after: Duration,
    /// How long an answer to a ping may take before the connection is given up. Default: 1 s.
    pub(crate) pong_timeout: Duration,
    /// The pause after a first failure to connect; it doubles with each further one. Default: 50 ms.
    pub(crate) backoff: Duration,
    /// The longest pause between attempts to connect. Default: 1 s.
    pub(crate) max_backoff: Duration,
    /// Most connections that are taken: 1 to 65,536. Default: 1,024.
    pub(crate) max_connections: usize,
    /// Most connections that are taken and not ready yet: 1 to 65,536. Default: 128.
    pub(crate) max_handshakes: usize,
    /// Most calls under way on a connection: 1 to 65,536. Default: 4,096.
    pub(crate) max_in_flight: usize,
    /// Most bytes of calls under way and of answers not yet written on a connection, above which no more is read: at
    /// least a frame. Default: 64 MiB.
    pub(crate) max_held: usize,
    /// Longest frame: 4 KiB to 16 MiB. Default: 16 MiB.
    pub(crate) max_frame: usize,
    /// How long a peer may be silent before its connection is closed. Default: 60 s.
    pub(crate) idle_timeout: Duration,
    /// How long a frame may take from its first byte to its last, and a write until some of it is taken. Default: 10 s.
    pub(crate) frame_timeout: Duration,
    /// How long a call may be worked on, whatever its deadline. Default: 60 s.
    pub(crate) longest_call: Duration,
    /// Most pings of a peer in a second. Default: 100.
    pub(crate) max_pings: u32,
}

impl Default for PeerConfig {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            connections: 1,
            connect_timeout: secs(2),
            handshake_timeout: secs(5),
            ping_after: secs(1),
            idle_ping_after: secs(5),
            pong_timeout: secs(1),
            backoff: Duration::from_millis(50),
            max_backoff: secs(1),
            max_connections: 1024,
            max_handshakes: 128,
            max_in_flight: 4096,
            max_held: 64 << 20,
            max_frame: MAX_FRAME,
            idle_timeout: secs(60),
            frame_timeout: secs(10),
            longest_call: secs(60),
            max_pings: 100,
        }
    }
}

impl PeerConfig {
    /// Checks the limits; one error names everything that is wrong.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = self.wrong();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Invalid, wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))
    }

    /// Everything that is wrong.
    pub(crate) fn wrong(&self) -> Vec<Error> {
        let mut wrong = Vec::new();
        let counts = [
            ("peer connections", self.connections, 1, MAX_CONNECTIONS),
            ("peer max_connections", self.max_connections, 1, 65_536),
            ("peer max_handshakes", self.max_handshakes, 1, 65_536),
            ("peer max_in_flight", self.max_in_flight, 1, 65_536),
            ("peer max_frame", self.max_frame, 4096, MAX_FRAME),
            ("peer max_held", self.max_held, self.max_frame, usize::MAX),
        ];
        for (field, given, least, most) in counts {
            if given < least || given > most {
                wrong.push(Error::invalid(field, format_args!("from {least} to {most}"), given));
            }
        }
        if self.max_pings == 0 {
            wrong.push(Error::invalid("peer max_pings", "at least 1", 0));
        }
        let spans = [
            ("peer connect_timeout", self.connect_timeout),
            ("peer handshake_timeout", self.handshake_timeout),
            ("peer ping_after", self.ping_after),
            ("peer idle_ping_after", self.idle_ping_after),
            ("peer pong_timeout", self.pong_timeout),
            ("peer backoff", self.backoff),
            ("peer max_backoff", self.max_backoff),
            ("peer idle_timeout", self.idle_timeout),
            ("peer frame_timeout", self.frame_timeout),
            ("peer longest_call", self.longest_call),
        ];
        for (field, given) in spans {
            if given.is_zero() || given > MAX_SPAN {
                let limit = format_args!("above zero and at most {MAX_SPAN:?}").to_string();
                wrong.push(Error::invalid(field, limit, format_args!("{given:?}")));
            }
        }
        // Else a peer with nothing to ask would be taken for one that is gone.
        if self.idle_timeout <= self.idle_ping_after {
            let limit = format!("longer than idle_ping_after ({:?})", self.idle_ping_after);
            wrong.push(Error::invalid("peer idle_timeout", limit, format_args!("{:?}", self.idle_timeout)));
        }
        wrong
    }
}

/// Longer ones are taken for mistakes of units.
const MAX_SPAN: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        assert!(PeerConfig::default().check().is_ok());
        let config = PeerConfig {
            connections: 0,
            max_frame: 64 << 20,
            ping_after: Duration::ZERO,
            max_pings: 0,
            idle_timeout: Duration::from_secs(1),
            ..PeerConfig::default()
        };
        let error = config.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        for part in [
            "peer connections must be from 1 to 16, but 0 was given",
            "peer max_frame must be from 4096 to 16777216, but 67108864 was given",
            "peer ping_after must be above zero and at most 86400s, but 0ns was given",
            "peer max_pings must be at least 1, but 0 was given",
            "peer idle_timeout must be longer than idle_ping_after (5s), but 1s was given",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(config.wrong().len(), 5);
    }
}
