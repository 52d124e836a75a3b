//! Bytes that an entry takes beside its key and its value, each contestant in a process of its own.

use std::{env, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    allocator,
    contestants::{Entrant, Setup, VALUE, entrants},
    keys::Keys,
    screen::say,
};

/// What one process measured, in bytes an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Footprint {
    /// After every key was stored.
    pub(crate) filled: f64,
    /// After every one was read once, too: a `Bytes` allocates on its first clone.
    pub(crate) read: f64,
}

/// Measures one contestant in this process and prints what [`measure`] reads.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    contestant: String,
    entries: usize,
    key_len: usize,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    allocator::count();
    let Args { contestant, entries, key_len } = args;
    let entrant = entrants().into_iter().find(|entrant| entrant.name == contestant);
    let entrant = entrant.with_context(|| format!("there is no contestant `{contestant}`"))?;
    let keys = Keys::new(*key_len, *entries);
    let before = allocator::live();
    // A fifth more, so that sharded caches hold everything though their shards fill unevenly.
    let mut runner = (entrant.make)(&Setup { keys: &keys, capacity: entries + entries / 5, exact: false });
    let payload = (entries * (key_len + VALUE)) as isize;
    let mut pass = || {
        runner.read_through(&keys, &mut (0..*entries as u32));
        (allocator::live() - before - payload) as f64 / *entries as f64
    };
    let (filled, read) = (pass(), pass());
    say(format_args!("{filled} {read}"));
    Ok(())
}

/// Starts a process for it.
pub(crate) fn measure(entrant: &Entrant, entries: usize, key_len: usize) -> Result<Footprint> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["footprint", entrant.name, &entries.to_string(), &key_len.to_string()]);
    let output = command.output().context("the process that counts could not be started")?;
    if !output.status.success() {
        bail!("the footprint of {} was not measured\n{}", entrant.name, String::from_utf8_lossy(&output.stderr));
    }
    parse(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| format!("the process that counts {} said something else", entrant.name))
}

fn parse(line: &str) -> Option<Footprint> {
    let (filled, read) = line.trim().split_once(' ')?;
    Some(Footprint { filled: filled.parse().ok()?, read: read.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_prints_is_read() {
        assert_eq!(parse("77.5 101\n"), Some(Footprint { filled: 77.5, read: 101.0 }));
        assert_eq!(parse("error"), None);
    }
}
