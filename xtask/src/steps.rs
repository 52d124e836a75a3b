//! The steps of a verb: each has a name, a time and an outcome, and is shown while it runs.

use std::{
    fmt,
    io::{self, IsTerminal as _},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    process::{self, Ended},
    screen::say,
};

/// Runs steps one after the other; a failed step does not keep the next from running.
#[derive(Debug)]
pub(crate) struct Steps {
    started: Instant,
    terminal: bool,
    passed: usize,
    failed: Vec<String>,
    skipped: Vec<String>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        let terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
        Self { started: Instant::now(), terminal, passed: 0, failed: Vec::new(), skipped: Vec::new() }
    }

    /// Runs a command quietly; what it printed is shown only if it fails.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command) -> bool {
        let started = Instant::now();
        let spinner = self.begin(name, command);
        let result = process::run(command, |line| spinner.set_message(shorten(&process::plain(line))));
        spinner.finish_and_clear();
        self.end(name, started, result, true).is_some_and(|ended| ended.success)
    }

    /// Runs a command whose output is worth watching, and returns its lines.
    pub(crate) fn watch(&mut self, name: &str, command: &mut Command) -> Vec<String> {
        let started = Instant::now();
        say(format_args!("---- {name}: {}", process::describe(command)));
        let result = process::run(command, |line| say(line));
        self.end(name, started, result, false).map(|ended| ended.lines).unwrap_or_default()
    }

    /// Runs a check of our own; the error is what it found.
    pub(crate) fn check(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        let started = Instant::now();
        match check() {
            Ok(()) => self.pass(name, started.elapsed()),
            Err(err) => self.fail(name, &format!("{err:#}")),
        }
    }

    /// Notes a step that could not be run, for a reason that is not a fault.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        say(format_args!("skip {name}: {reason}"));
        self.skipped.push(name.to_owned());
    }

    /// Notes a step that failed before it could start, or that explains itself.
    pub(crate) fn fail(&mut self, name: &str, reason: &str) {
        say(format_args!("FAIL {name}: {reason}"));
        self.failed.push(name.to_owned());
    }

    /// Sums up; an error if any step failed.
    pub(crate) fn finish(self, verb: &str) -> Result<()> {
        say(self.summary(verb, self.started.elapsed()));
        if !self.failed.is_empty() {
            bail!("{verb} failed");
        }
        Ok(())
    }

    fn summary(&self, verb: &str, took: Duration) -> String {
        let total = self.passed + self.failed.len() + self.skipped.len();
        let mut out = format!("{verb}: {} of {total} steps passed", self.passed);
        for (names, how) in [(&self.failed, "failed"), (&self.skipped, "skipped")] {
            if !names.is_empty() {
                out += &format!(", {how}: {}", names.join(", "));
            }
        }
        format!("{out} ({})", Seconds(took))
    }

    /// Says that the step runs: a spinner for a person, a line for a log.
    fn begin(&self, name: &str, command: &Command) -> ProgressBar {
        if !self.terminal {
            say(format_args!("  .. {name}: {}", process::describe(command)));
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {msg}").expect("a valid template");
        let spinner = ProgressBar::new_spinner().with_style(style).with_prefix(name.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(120));
        spinner
    }

    fn end(&mut self, name: &str, started: Instant, result: io::Result<Ended>, quiet: bool) -> Option<Ended> {
        match result {
            Ok(ended) if ended.success => {
                self.pass(name, started.elapsed());
                Some(ended)
            }
            Ok(ended) => {
                if quiet {
                    ended.lines.iter().for_each(|line| say(format_args!("     {line}")));
                }
                self.fail(name, &format!("ended with an error after {}", Seconds(started.elapsed())));
                Some(ended)
            }
            Err(err) => {
                self.fail(name, &format!("could not be started: {err}"));
                None
            }
        }
    }

    /// Notes a step that took place elsewhere.
    pub(crate) fn pass(&mut self, name: &str, took: Duration) {
        say(format_args!("  ok {name} ({})", Seconds(took)));
        self.passed += 1;
    }
}

/// A duration to one digit of a second, or as minutes and seconds.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        if secs < 60 {
            write!(f, "{:.1} s", self.0.as_secs_f64())
        } else {
            write!(f, "{} min {:02} s", secs / 60, secs % 60)
        }
    }
}

/// Keeps a spinner on one line of a narrow terminal.
fn shorten(line: &str) -> String {
    line.trim().chars().take(48).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_verb_and_is_named() {
        let mut steps = Steps::new();
        steps.check("good", || Ok(()));
        steps.check("bad", || bail!("reason"));
        steps.skip("absent", "no database");
        assert_eq!(
            steps.summary("lint", Duration::from_millis(61_500)),
            "lint: 1 of 3 steps passed, failed: bad, skipped: absent (1 min 01 s)"
        );
        assert_eq!(steps.finish("lint").unwrap_err().to_string(), "lint failed");
    }

    #[test]
    fn a_command_that_cannot_start_fails_its_step() {
        let mut steps = Steps::new();
        assert!(!steps.run("tool", &mut Command::new("memstache-no-such-program")));
        assert_eq!(steps.failed, ["tool"]);
    }

    #[cfg(unix)]
    #[test]
    fn the_exit_code_decides() {
        let mut steps = Steps::new();
        assert!(steps.run("true", &mut Command::new("true")));
        assert!(!steps.run("false", &mut Command::new("false")));
        assert_eq!(steps.watch("echo", Command::new("echo").arg("hello")), ["hello"]);
        assert_eq!((steps.passed, steps.failed.len()), (2, 1));
    }

    #[test]
    fn times_are_short() {
        assert_eq!(Seconds(Duration::from_millis(1_250)).to_string(), "1.2 s");
        assert_eq!(Seconds(Duration::from_secs(125)).to_string(), "2 min 05 s");
    }
}
