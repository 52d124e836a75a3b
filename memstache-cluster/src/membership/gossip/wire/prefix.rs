//! What every body begins with: proof that each hears the other.

/// Bytes of a prefix.
pub(in super::super) const PREFIX: usize = 24;

/// When the sender sent this, by its own clock, and the last such time that it has from the receiver.
///
/// A node that gets its own time back knows that somebody heard it then, however long this datagram lay about: that is
/// what a lease of one's own may be built upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Prefix {
    /// Milliseconds of the sender's clock, plus one.
    pub(in super::super) sent: u64,
    /// The latest `sent` of the receiver; 0 if there is none.
    pub(in super::super) echo: u64,
    /// In which session of the receiver that was.
    pub(in super::super) session: u64,
}

impl Prefix {
    pub(in super::super) fn to_bytes(self) -> [u8; PREFIX] {
        let mut out = [0; PREFIX];
        out[..8].copy_from_slice(&self.sent.to_be_bytes());
        out[8..16].copy_from_slice(&self.echo.to_be_bytes());
        out[16..].copy_from_slice(&self.session.to_be_bytes());
        out
    }

    /// Reads a prefix, and returns what follows it.
    pub(in super::super) fn split(body: &[u8]) -> Option<(Self, &[u8])> {
        let (bytes, rest) = body.split_first_chunk::<PREFIX>()?;
        let long = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        Some((Self { sent: long(0), echo: long(8), session: long(16) }, rest))
    }
}
