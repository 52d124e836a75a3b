//! Keys as text (RFC 7468), one to a text.

use data_encoding::BASE64;
use memstache_core::{Error, Result};
use zeroize::Zeroizing;

/// Longest text: several times what a key of 4096 bits takes.
const MAX_PEM: usize = 16 * 1024;

/// Reads the bytes of the only key in a text.
pub(super) fn decode(text: &str, label: &str) -> Result<Zeroizing<Vec<u8>>> {
    let wrong = |given: &str| Error::invalid("PEM", format_args!("a {label}"), given);
    if text.len() > MAX_PEM {
        return Err(wrong(&format!("a text of {} bytes", text.len())));
    }
    let Some(rest) = text.trim().strip_prefix("-----BEGIN ") else { return Err(wrong("another text")) };
    let (found, rest) = rest.split_once("-----").ok_or_else(|| wrong("another text"))?;
    if found != label {
        return Err(wrong("another label"));
    }
    let end = format!("-----END {label}-----");
    let body = rest.strip_suffix(&end).ok_or_else(|| wrong("a text without its end, or more than one"))?;
    let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    let bytes = BASE64.decode(body.as_bytes()).map_err(|_| wrong("something else than base64"))?;
    Ok(Zeroizing::new(bytes))
}

/// Writes a key as text, in lines of 64 characters.
pub(super) fn encode(der: &[u8], label: &str) -> String {
    let body = Zeroizing::new(BASE64.encode(der));
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        out.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_key_and_nothing_else() {
        let good = encode(b"der", "KEY");
        assert_eq!(good, "-----BEGIN KEY-----\nZGVy\n-----END KEY-----\n");
        assert_eq!(**decode(&good, "KEY").unwrap(), *b"der");
        for wrong in
            ["", "-----BEGIN ", "-----BEGIN KEY-----", "-----BEGIN KEY-----\n!!\n-----END KEY-----", &good.repeat(2)]
        {
            assert!(decode(wrong, "KEY").is_err(), "{wrong}");
        }
        let error = decode(&"x".repeat(20_000), "KEY").unwrap_err().to_string();
        assert_eq!(error, "PEM must be a KEY, but a text of 20000 bytes was given");
    }

    proptest! {
        #[test]
        fn round_trip(der: Vec<u8>) {
            prop_assert_eq!(&**decode(&encode(&der, "KEY"), "KEY").unwrap(), &der);
        }

        #[test]
        fn any_text_is_a_key_or_an_error(text in "(-----BEGIN )?(KEY)?(-----)?[A-Za-z=\n]{0,20}(-----END KEY-----)?") {
            let _ = decode(&text, "KEY");
        }
    }
}
