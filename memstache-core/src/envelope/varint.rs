//! Canonical unsigned LEB128: seven bits a byte, the lowest first, the top bit says that more follow.
//!
//! A number has exactly one form, so that equal entries have equal envelopes: no zero byte at the end of a longer form,
//! nothing above 64 bits.

use bytes::BufMut;

/// The longest form of a 64-bit number.
pub(super) const MAX_LEN: usize = 10;

/// Writes `number` in its only form.
pub(super) fn write(mut number: u64, out: &mut impl BufMut) {
    while number >= 0x80 {
        out.put_u8((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

/// Reads a number off the front of `bytes`; `None` if there is no canonical one.
pub(super) fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for at in 0..MAX_LEN {
        let byte = *bytes.get(at)?;
        // The tenth byte holds the 64th bit alone.
        if at == MAX_LEN - 1 && byte > 1 {
            return None;
        }
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            *bytes = &bytes[at + 1..];
            return (byte != 0 || at == 0).then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(number: u64) -> Vec<u8> {
        let mut out = Vec::new();
        write(number, &mut out);
        out
    }

    #[test]
    fn known_forms() {
        assert_eq!(written(0), [0]);
        assert_eq!(written(127), [0x7f]);
        assert_eq!(written(300), [0xac, 0x02]);
        assert_eq!(written(u64::MAX), [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    }

    #[test]
    fn other_forms_are_refused() {
        for bytes in [&[][..], &[0x80], &[0x80, 0x00], &[0xff, 0x80, 0x00], &[0xff; 10], &[0xff; 11]] {
            assert_eq!(read(&mut &bytes[..]), None, "{bytes:x?}");
        }
        let mut above = [0xff; 10];
        above[9] = 2;
        assert_eq!(read(&mut &above[..]), None, "more than 64 bits");
    }

    proptest! {
        #[test]
        fn round_trip(number: u64, tail: [u8; 3]) {
            let mut bytes = written(number);
            prop_assert!(bytes.len() <= MAX_LEN);
            bytes.extend(tail);
            let mut rest = &bytes[..];
            prop_assert_eq!(read(&mut rest), Some(number));
            prop_assert_eq!(rest, tail);
        }

        #[test]
        fn whatever_is_read_is_written_alike(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut rest = &bytes[..];
            if let Some(number) = read(&mut rest) {
                prop_assert_eq!(&written(number), &bytes[..bytes.len() - rest.len()]);
            }
        }
    }
}
