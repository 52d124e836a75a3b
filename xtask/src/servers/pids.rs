//! Processes that are ours, by their ids.

use std::{path::Path, process::Child, thread, time::Duration};

use anyhow::{Result, bail};

/// How long the system may take to end a process that was killed.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);

/// What can be done to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Kill,
    Stop,
    Continue,
}

/// Whether the process runs and has this path among its words: ids are given anew when a process has ended.
pub(crate) fn is_ours(pid: u32, path: &Path) -> bool {
    command_line(pid).is_some_and(|words| words.contains(&*path.to_string_lossy()))
}

/// Sends the signal, if the process is ours.
pub(crate) fn signal(pid: u32, path: &Path, signal: Signal) -> Result<()> {
    if !is_ours(pid, path) {
        bail!("the process {pid} does not run {}", path.display());
    }
    send(pid, signal)
}

/// Kills the process if it is ours, and waits until it is gone. Nothing that a server of ours holds is worth an orderly end,
/// and one that is stopped could not come to it.
pub(crate) fn end(pid: u32, path: &Path) -> Result<()> {
    if !is_ours(pid, path) {
        return Ok(());
    }
    send(pid, Signal::Kill)?;
    let polls = PATIENCE.as_millis() / POLL.as_millis();
    for _ in 0..polls {
        if !is_ours(pid, path) {
            return Ok(());
        }
        thread::sleep(POLL);
    }
    bail!("the process {pid} was killed and does not end")
}

/// Every process that has a file of this name below this folder among its words.
pub(crate) fn below(folder: &Path, file: &str) -> Vec<u32> {
    // With its end, so that `a-1` is not taken for a part of `a`.
    let folder = folder.join("").display().to_string();
    let is_server = |words: String| words.split(' ').any(|word| word.ends_with(file)) && words.contains(&folder);
    all().into_iter().filter(|pid| command_line(*pid).is_some_and(is_server)).collect()
}

/// Waits until the process has the words that it was started with, or has ended: the system gives them a moment after it
/// says that it is started.
pub(super) fn await_words(child: &mut Child, path: &Path) -> Result<()> {
    while !is_ours(child.id(), path) && child.try_wait()?.is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The words of the process; nothing for one that has ended and is not yet buried.
#[cfg(target_os = "linux")]
fn command_line(pid: u32) -> Option<String> {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(String::from_utf8_lossy(&words).replace('\0', " "))
}

#[cfg(not(target_os = "linux"))]
fn command_line(pid: u32) -> Option<String> {
    let mut ps = std::process::Command::new("ps");
    let output = ps.args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(target_os = "linux")]
fn all() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(not(target_os = "linux"))]
fn all() -> Vec<u32> {
    let Ok(output) = std::process::Command::new("ps").args(["-axo", "pid="]).output() else { return Vec::new() };
    String::from_utf8_lossy(&output.stdout).split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

#[cfg(unix)]
fn send(pid: u32, signal: Signal) -> Result<()> {
    use anyhow::Context as _;
    use rustix::process::{Pid, kill_process};

    let name = match signal {
        Signal::Kill => rustix::process::Signal::KILL,
        Signal::Stop => rustix::process::Signal::STOP,
        Signal::Continue => rustix::process::Signal::CONT,
    };
    let id = i32::try_from(pid).ok().and_then(Pid::from_raw).context("not the id of a process")?;
    kill_process(id, name).with_context(|| format!("the process {pid} takes no signal"))
}

#[cfg(not(unix))]
fn send(_: u32, _: Signal) -> Result<()> {
    bail!("servers can be run on Unix only")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// A process with a path among its words, which ends with the test.
    fn sleeper(path: &str) -> Child {
        let mut command = Command::new("sh");
        let mut child = command.args(["-c", "read line", path]).stdin(Stdio::piped()).spawn().unwrap();
        await_words(&mut child, Path::new(path)).unwrap();
        child
    }

    #[test]
    fn a_process_is_ours_by_its_words() {
        let mut child = sleeper("/memstache/a.conf");
        let (pid, path) = (child.id(), Path::new("/memstache/a.conf"));
        assert!(is_ours(pid, path));
        assert!(!is_ours(pid, Path::new("/memstache/b.conf")));
        assert!(signal(pid, Path::new("/memstache/b.conf"), Signal::Kill).is_err(), "not ours, and left alone");
        signal(pid, path, Signal::Stop).unwrap();
        signal(pid, path, Signal::Continue).unwrap();
        signal(pid, path, Signal::Stop).unwrap();
        end(pid, path).unwrap();
        assert!(!is_ours(pid, path));
        child.wait().unwrap();
    }

    #[test]
    fn processes_are_found_by_their_folder() {
        let mut child = sleeper("/memstache/e/f/g.conf");
        let found = |folder: &str, file| below(Path::new(folder), file).len();
        assert_eq!(below(Path::new("/memstache/e/f"), "g.conf"), [child.id()]);
        assert_eq!((found("/memstache/e/g", "g.conf"), found("/memstache/e/f", "h.conf")), (0, 0));
        end(child.id(), Path::new("/memstache/e")).unwrap();
        child.wait().unwrap();
        assert_eq!(found("/memstache/e/f", "g.conf"), 0);
    }

    #[test]
    fn ending_what_is_not_ours_does_nothing() {
        let mut child = sleeper("/memstache/c.conf");
        end(child.id(), Path::new("/memstache/d.conf")).unwrap();
        assert!(child.try_wait().unwrap().is_none(), "still runs");
        child.kill().unwrap();
        child.wait().unwrap();
        end(child.id(), Path::new("/memstache/c.conf")).unwrap();
    }
}
