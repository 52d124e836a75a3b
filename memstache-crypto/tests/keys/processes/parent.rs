//! The parent's end: commands down, answers up.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{self, ChildStdin, ChildStdout, Command, Stdio},
};

/// What an answer begins with, so that it is told from what the test runner prints.
pub(super) const MARK: &str = "answer: ";
pub(super) const DIRECTORY: &str = "MEMSTACHE_KEYS_DIRECTORY";
pub(super) const CLOCK: &str = "MEMSTACHE_KEYS_CLOCK";
/// In place of milliseconds: the clock of the system.
pub(super) const REAL: &str = "real";

/// A process of its own; killed with its handle.
pub(super) struct Child {
    process: process::Child,
    down: ChildStdin,
    up: BufReader<ChildStdout>,
}

impl Child {
    /// Starts a process whose clock is ahead by some milliseconds. It opens its keyring by itself.
    pub(super) fn spawn(directory: &Path, ahead: u64) -> Self {
        Self::spawn_by(directory, &ahead.to_string())
    }

    /// Starts a process by the system's clock.
    pub(super) fn spawn_in_real_time(directory: &Path) -> Self {
        Self::spawn_by(directory, REAL)
    }

    fn spawn_by(directory: &Path, clock: &str) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "processes::child::serve", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory)
            .env(CLOCK, clock)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let down = process.stdin.take().unwrap();
        let up = BufReader::new(process.stdout.take().unwrap());
        Self { process, down, up }
    }

    pub(super) fn send(&mut self, command: &str) {
        writeln!(self.down, "{command}").unwrap();
        self.down.flush().unwrap();
    }

    pub(super) fn answer(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.up.read_line(&mut line).unwrap(), 0, "the process ended");
            if let Some(answer) = line.strip_prefix(MARK) {
                return answer.trim_end().to_owned();
            }
        }
    }

    /// Kills the process, whatever it is doing.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(super) fn ask(&mut self, command: &str) -> String {
        self.send(command);
        self.answer()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
