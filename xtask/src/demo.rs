//! `demo`: the workspace at work.

use std::env;

use anyhow::Result;

use crate::{
    process,
    workspace::{DEMO, Workspace},
};

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
    process::take_over(&mut command)
}
