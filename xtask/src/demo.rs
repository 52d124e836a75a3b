//! `demo`: the workspace at work.

use std::{env, process::Command};

use anyhow::{Result, bail};

use crate::workspace::{DEMO, Workspace};

/// Builds and runs the demo: a web service over SQLite, served through a memstache stack.
///
/// All words go to the demo; `cargo xtask demo --help` is its own help.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Words for the demo
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub(crate) args: Vec<String>,
}

pub(crate) fn run(ws: &Workspace, args: &Args) -> Result<()> {
    let mut command = ws.cargo(["run", "--release", "-p", DEMO, "--"]);
    // Files named in the words are meant from where the caller stands.
    command.args(&args.args).current_dir(env::current_dir()?);
    take_over(command)
}

/// Becomes the command, so that signals and the exit code are its own.
#[cfg(unix)]
fn take_over(mut command: Command) -> Result<()> {
    use std::os::unix::process::CommandExt as _;

    let err = command.exec();
    bail!("the demo could not be started: {err}")
}

#[cfg(not(unix))]
fn take_over(mut command: Command) -> Result<()> {
    let status = command.status()?;
    if !status.success() {
        bail!("the demo ended with an error ({status})");
    }
    Ok(())
}
