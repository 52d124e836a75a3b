//! Ends servers when the process that started them is gone, however it went.
//!
//! The keeper is a process of its own that reads from its parent. A Ctrl-C, a crash and a kill all close that pipe, which no
//! handler of signals could promise.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    launch::{self, Order},
    state,
};
use crate::process;

/// What the parent says when the servers shall stay.
const STAY: &str = "stay";

/// Ends services when its standard input ends.
#[derive(Debug, clap::Args)]
pub(crate) struct KeepArgs {
    /// The folder of a service
    folders: Vec<PathBuf>,
}

/// The verb of the keeper itself.
pub(crate) fn keep(args: &KeepArgs) -> Result<()> {
    let mut said = String::new();
    // An error is an end, too.
    let _ = io::stdin().read_to_string(&mut said);
    if said == STAY {
        return Ok(());
    }
    for folder in &args.folders {
        state::end_at(folder)?;
        // Not if there are others in it.
        let _ = folder.parent().map(fs::remove_dir);
    }
    Ok(())
}

/// A keeper at work.
#[derive(Debug)]
pub(crate) struct Keeper {
    child: Child,
}

impl Keeper {
    /// Watches over services that are about to be started.
    pub(super) fn of(orders: &[Order]) -> Result<Self> {
        let mut command = Command::new(process::own_program()?);
        command.arg("keep").args(orders.iter().map(|order| &order.folder)).stdin(Stdio::piped());
        launch::apart(&mut command);
        let child = command.spawn().context("the keeper of the servers could not be started")?;
        Ok(Self { child })
    }

    /// Ends the servers.
    pub(crate) fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        self.wait()
    }

    /// Leaves the servers as they are.
    pub(crate) fn leave(mut self) -> Result<()> {
        let mut pipe = self.child.stdin.take().context("the keeper reads from us")?;
        pipe.write_all(STAY.as_bytes())?;
        drop(pipe);
        self.wait()
    }

    fn wait(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "the keeper of the servers failed ({status})");
        Ok(())
    }
}
