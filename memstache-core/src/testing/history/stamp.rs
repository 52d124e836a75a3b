//! A value that says where it comes from.

/// What a test stores: which key of which tenant, the how-manieth write of it, and by whom.
///
/// As text it carries a checksum, so that a torn or mixed-up value is told from one that is merely old.
///
/// ```
/// use memstache_core::testing::Stamp;
///
/// let stamp = Stamp::new("a", "tea", 7, 1);
/// assert_eq!(Stamp::parse(&stamp.to_string()), Some(stamp));
/// assert_eq!(Stamp::parse("a tea 8 1 0"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Stamp {
    /// Without spaces.
    pub tenant: String,
    /// Without spaces.
    pub key: String,
    /// Counts the key's writes and removals from 1, in the order in which its writer began them.
    pub version: u64,
    /// The one task that writes this key.
    pub writer: u32,
}

impl Stamp {
    /// Creates a stamp.
    ///
    /// # Panics
    ///
    /// If the tenant or the key is empty or has a space in it.
    pub fn new(tenant: impl Into<String>, key: impl Into<String>, version: u64, writer: u32) -> Self {
        let (tenant, key) = (tenant.into(), key.into());
        let is_word = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
        assert!(is_word(&tenant) && is_word(&key), "tenant and key must be words");
        Self { tenant, key, version, writer }
    }

    /// Reads the text of a stamp; `None` if it is not one, or not as it was written.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut word = || words.next().filter(|word| !word.is_empty());
        let (tenant, key, version, writer, _) = (word()?, word()?, word()?, word()?, word()?);
        let stamp = Self {
            tenant: tenant.to_owned(),
            key: key.to_owned(),
            version: version.parse().ok()?,
            writer: writer.parse().ok()?,
        };
        (stamp.to_string() == text).then_some(stamp)
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { tenant, key, version, writer } = self;
        let text = format!("{tenant} {key} {version} {writer}");
        write!(f, "{text} {:016x}", fnv1a(text.as_bytes()))
    }
}

/// FNV-1a of 64 bits: the same in every process.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_is_noticed() {
        let text = Stamp::new("a", "tea", 7, 1).to_string();
        assert!(Stamp::parse(&text).is_some());
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(String::from_utf8(bytes).ok().and_then(|text| Stamp::parse(&text)), None, "byte {at}");
            assert_eq!(Stamp::parse(&text[..at]), None, "cut at {at}");
        }
        assert_eq!(Stamp::parse(&format!("{text} ")), None);
        assert_eq!(Stamp::parse(&format!("{text} x")), None);
    }

    #[test]
    #[should_panic(expected = "must be words")]
    fn a_key_with_a_space_is_refused() {
        Stamp::new("a", "green tea", 1, 1);
    }
}
