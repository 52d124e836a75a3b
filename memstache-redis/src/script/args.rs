//! The arguments of a script.

use std::time::Duration;

use bytes::Bytes;

/// Collects arguments in the order in which the script reads them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Args(Vec<Bytes>);

impl Args {
    pub(crate) fn bytes(&mut self, bytes: impl Into<Bytes>) -> &mut Self {
        self.0.push(bytes.into());
        self
    }

    pub(crate) fn word(&mut self, word: &'static str) -> &mut Self {
        self.bytes(Bytes::from_static(word.as_bytes()))
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(Bytes::copy_from_slice(text.as_bytes()))
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(number.to_string())
    }

    pub(crate) fn millis(&mut self, span: Duration) -> &mut Self {
        self.number(millis(span))
    }

    /// Eight bytes, as scripts keep and compare them.
    pub(crate) fn id(&mut self, id: u64) -> &mut Self {
        self.bytes(Bytes::copy_from_slice(&id.to_be_bytes()))
    }

    pub(crate) fn as_slice(&self) -> &[Bytes] {
        &self.0
    }
}

/// Whole milliseconds of a span, rounded up so that no positive lifetime becomes zero.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_rounded_up() {
        for (micros, wanted) in [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2)] {
            assert_eq!(millis(Duration::from_micros(micros)), wanted);
        }
    }
}
