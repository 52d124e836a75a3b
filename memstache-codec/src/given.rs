//! Names as they were given, for errors.

use std::fmt;

/// Longest name that is shown: more is no name, whatever it is.
const LONGEST: usize = 40;

/// Shows a name that configuration gave, or its length.
pub(crate) struct Given<'a>(pub(crate) &'a str);

impl fmt::Display for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            ..=LONGEST => write!(f, "`{}`", self.0.escape_debug()),
            long => write!(f, "a name of {long} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_unless_it_is_long() {
        assert_eq!(Given("zst").to_string(), "`zst`");
        assert_eq!(Given("a\nb").to_string(), "`a\\nb`");
        assert_eq!(Given(&"x".repeat(40)).to_string().len(), 42);
        assert_eq!(Given(&"x".repeat(41)).to_string(), "a name of 41 bytes");
    }
}
