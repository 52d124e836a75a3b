//! Canonical unsigned LEB128, as in the stored envelope: a number has exactly one form.

/// The longest form of a 64-bit number.
const MAX_LEN: usize = 10;

/// Writes `number` in its only form.
pub(crate) fn write(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a number off the front of `bytes`; `None` if there is no canonical one.
pub(crate) fn read(bytes: &mut &[u8]) -> Option<u64> {
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
            // A longer form of a smaller number ends with a zero.
            return (byte != 0 || at == 0).then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_has_one_form() {
        for bits in 0..64 {
            for number in [1u64 << bits, (1 << bits) - 1, u64::MAX >> bits] {
                let mut out = Vec::new();
                write(number, &mut out);
                let mut rest = &out[..];
                assert_eq!((read(&mut rest), rest.len()), (Some(number), 0));
            }
        }
        for broken in [&[0x80][..], &[0x80, 0], &[0xff; 10], &[0xff; 11], &[]] {
            assert_eq!(read(&mut &broken[..]), None);
        }
    }
}
