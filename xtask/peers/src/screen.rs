//! Talks to the person: tables on standard output, progress on standard error.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
    process,
};

use indicatif::{ProgressBar, ProgressStyle};

/// Exit code of a program that was ended by a closed pipe, as shells count it.
const CLOSED: i32 = 141;

/// Prints; ends quietly when nobody reads any more.
pub(crate) fn say(text: impl fmt::Display) {
    if writeln!(io::stdout(), "{text}").is_err() {
        process::exit(CLOSED);
    }
}

/// A bar for a person, a line for each part in a log.
pub(crate) struct Progress {
    bar: ProgressBar,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new(steps: usize) -> Self {
        let terminal = io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new(steps as u64) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} (left: {eta}) {wide_msg}");
        Self { bar: bar.with_style(style.expect("a valid template")), terminal }
    }

    /// Begins a part of the work.
    pub(crate) fn part(&self, name: &str) {
        self.bar.set_message(name.to_owned());
        if !self.terminal {
            // Whether anybody reads it makes no difference.
            let _ = writeln!(io::stderr(), "  .. {name}");
        }
    }

    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
