//! The keys of a workload as text of one length, in one allocation.

/// Distinct texts, numbered from 0; the same in every run.
pub(crate) struct Keys {
    text: String,
    len: usize,
}

impl Keys {
    /// Bytes of a short key, the least: a number in hexadecimal.
    pub(crate) const SHORT: usize = 16;
    /// Bytes of a long key: such a number behind what all have in common.
    pub(crate) const LONG: usize = 40;

    const PREFIX: &str = "tenant:keyspace:v1:item:";

    pub(crate) fn new(len: usize, count: usize) -> Self {
        assert!((Self::SHORT..=Self::LONG).contains(&len), "keys have 16 to 40 bytes");
        let prefix = &Self::PREFIX[..len - Self::SHORT];
        let mut text = String::with_capacity(len * count);
        for number in 0..count as u64 {
            text.push_str(prefix);
            text.push_str(&format!("{:016x}", scatter(number)));
        }
        Self { text, len }
    }

    /// Bytes of each key.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn text(&self, key: u32) -> &str {
        let start = key as usize * self.len;
        &self.text[start..start + self.len]
    }
}

/// One to one, so that no two keys are the same, and neighbours have nothing in common.
fn scatter(number: u64) -> u64 {
    let number = (number ^ (number >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number ^ (number >> 32)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_are_distinct_and_of_one_length() {
        for len in [Keys::SHORT, Keys::LONG] {
            let keys = Keys::new(len, 10_000);
            let texts: HashSet<_> = (0..10_000).map(|key| keys.text(key)).collect();
            assert_eq!(texts.len(), 10_000);
            assert!(texts.iter().all(|text| text.len() == len));
        }
    }
}
