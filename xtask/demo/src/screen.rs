//! Talks to the person in front: lines on standard output, progress on standard error.

use std::{
    fmt,
    io::{self, Write as _},
};

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};

/// Prints a line. A reader that has gone away is an error, so that everything is tidied up on the way out.
pub(crate) fn say(line: impl fmt::Display) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output cannot be written to")
}

/// A progress bar that leaves nothing behind; none at all if nobody wants one. Hidden where there is no terminal.
pub(crate) fn bar(quiet: bool, length: u64, what: &'static str) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{prefix:<28} {wide_bar} {msg:>20}").expect("a template that parses");
    ProgressBar::new(length).with_style(style).with_prefix(what)
}
