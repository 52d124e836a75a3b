//! Runs a command and reads what it prints line by line, while it runs.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        OnceLock,
        mpsc::{self, Sender},
    },
    thread,
};

use anyhow::{Context as _, Result, bail};

/// Where this program is, as it was first asked for.
///
/// To be asked for once before anything is built: a build of the workspace may put another of this program in its place, and
/// the system then says of this one that it was deleted.
pub(crate) fn own_program() -> Result<PathBuf> {
    static OWN: OnceLock<Option<PathBuf>> = OnceLock::new();
    OWN.get_or_init(|| env::current_exe().ok()).clone().context("the program cannot find itself")
}

/// What is left of a command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) success: bool,
    /// Both of its outputs, in the order in which the lines arrived.
    pub(crate) lines: Vec<String>,
}

/// Runs the command to its end and shows each line of its outputs to `on_line` as it comes.
pub(crate) fn run(command: &mut Command, mut on_line: impl FnMut(&str)) -> io::Result<Ended> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (sender, receiver) = mpsc::channel();
    forward(child.stdout.take(), sender.clone());
    forward(child.stderr.take(), sender);
    let mut lines = Vec::new();
    // Ends when both outputs are closed, so a child that hangs on to one of them is waited for.
    for line in receiver {
        on_line(&line);
        lines.push(line);
    }
    let success = child.wait()?.success();
    Ok(Ended { success, lines })
}

/// Becomes the command, so that signals and the exit code are its own.
#[cfg(unix)]
pub(crate) fn take_over(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt as _;

    let err = command.exec();
    bail!("{} could not be started: {err}", describe(command))
}

#[cfg(not(unix))]
pub(crate) fn take_over(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    if !status.success() {
        bail!("{} ended with an error ({status})", describe(command));
    }
    Ok(())
}

/// The command as a person would type it.
pub(crate) fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = [program].into_iter().chain(command.get_args());
    words.map(|word| quote(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

/// Removes the colour codes of a line, so that its words can be read.
pub(crate) fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out
}

fn forward(from: Option<impl Read + Send + 'static>, to: Sender<String>) {
    let Some(from) = from else { return };
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while matches!(from.read_until(b'\n', &mut line), Ok(n) if n > 0) {
            if to.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
}

fn quote(word: &str) -> String {
    let bare = !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "'\"$&|;()<>*?".contains(c));
    if bare { word.to_owned() } else { format!("'{word}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_removed() {
        assert_eq!(plain("\u{1b}[32;1m     Summary\u{1b}[0m [ 0.1s] ok"), "     Summary [ 0.1s] ok");
    }

    #[test]
    fn a_command_is_described_as_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["test", "-E", "test(a b)"]);
        assert_eq!(describe(&command), "cargo test -E 'test(a b)'");
    }

    #[cfg(unix)]
    #[test]
    fn both_outputs_and_the_end_are_seen() {
        let mut seen = 0;
        let ended = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), |_| seen += 1).unwrap();
        let mut lines = ended.lines.clone();
        lines.sort();
        assert_eq!(
            (ended.success, lines.as_slice(), seen),
            (false, ["err".to_owned(), "out".to_owned()].as_slice(), 2)
        );
    }

    #[test]
    fn a_missing_program_is_an_error() {
        assert!(run(&mut Command::new("memstache-no-such-program"), |_| ()).is_err());
    }
}
