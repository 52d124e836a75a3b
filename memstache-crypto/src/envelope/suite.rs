//! What a value is sealed with.

use crate::backend::Aead;

/// An AEAD, with or without an explicit commitment to the key. Its byte never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Suite {
    Aes256Gcm = 0x01,
    ChaCha20Poly1305 = 0x02,
    CommittingAes256Gcm = 0x11,
    CommittingChaCha20Poly1305 = 0x12,
}

impl Suite {
    pub(crate) const ALL: [Self; 4] =
        [Self::Aes256Gcm, Self::ChaCha20Poly1305, Self::CommittingAes256Gcm, Self::CommittingChaCha20Poly1305];

    pub(crate) fn new(aead: Aead, committing: bool) -> Self {
        match (aead, committing) {
            (Aead::Aes256Gcm, false) => Self::Aes256Gcm,
            (Aead::ChaCha20Poly1305, false) => Self::ChaCha20Poly1305,
            (Aead::Aes256Gcm, true) => Self::CommittingAes256Gcm,
            (Aead::ChaCha20Poly1305, true) => Self::CommittingChaCha20Poly1305,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.byte() == byte)
    }

    pub(crate) const fn byte(self) -> u8 {
        self as u8
    }

    pub(crate) const fn aead(self) -> Aead {
        match self {
            Self::Aes256Gcm | Self::CommittingAes256Gcm => Aead::Aes256Gcm,
            Self::ChaCha20Poly1305 | Self::CommittingChaCha20Poly1305 => Aead::ChaCha20Poly1305,
        }
    }

    /// Whether a commitment stands before the text.
    pub(crate) const fn is_committing(self) -> bool {
        matches!(self, Self::CommittingAes256Gcm | Self::CommittingChaCha20Poly1305)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_wire_and_no_others_are_known() {
        assert_eq!(Suite::ALL.map(Suite::byte), [0x01, 0x02, 0x11, 0x12]);
        let known = (0..=u8::MAX).filter_map(Suite::from_byte).count();
        assert_eq!(known, 4);
        for suite in Suite::ALL {
            assert_eq!(Suite::from_byte(suite.byte()), Some(suite));
            assert_eq!(Suite::new(suite.aead(), suite.is_committing()), suite);
        }
    }
}
