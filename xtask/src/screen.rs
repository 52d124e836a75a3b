//! Talks to the person or log on standard output.

use std::{
    fmt,
    io::{self, Write as _},
    process,
};

/// Exit code of a program that was ended by a closed pipe, as shells count it.
const CLOSED: i32 = 141;

/// Prints a line; ends quietly when nobody reads any more, as in `cargo xtask test | head`.
pub(crate) fn say(line: impl fmt::Display) {
    if writeln!(io::stdout(), "{line}").is_err() {
        process::exit(CLOSED);
    }
}
