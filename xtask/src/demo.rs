//! `demo`: the workspace at work.

use std::{env, time::Duration};

use anyhow::{Result, bail};

use crate::{
    process,
    servers::{One, Service, Version},
    steps::Steps,
    workspace::{DEMO, Workspace},
};

/// After how long a silent server would count as gone; one alone has nobody who counts.
const PATIENCE: Duration = Duration::from_secs(3);

/// Builds and runs the demo: a web service over SQLite, served through a memstache stack.
///
/// All words go to the demo; `cargo xtask demo --help` is its own help. With `--store redis` it gets a Redis for the
/// run, unless `--redis` says where one is.
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
    if !wants_redis(&args.args) {
        return process::take_over(&mut command);
    }
    // Ended by its keeper, too, should this process be killed.
    let one = One::start(ws, &mut Steps::new(), (Service::Redis, Version::Redis7), PATIENCE)?;
    let status = command.args(["--redis", &one.state.url]).status();
    one.end()?;
    let status = status?;
    if !status.success() {
        bail!("{} ended with an error ({status})", process::describe(&command));
    }
    Ok(())
}

/// Whether the words ask for a Redis without saying where it is.
fn wants_redis(words: &[String]) -> bool {
    let redis = words.iter().any(|word| word == "--store=redis")
        || words.windows(2).any(|pair| pair[0] == "--store" && pair[1] == "redis");
    redis && !words.iter().any(|word| word == "--redis" || word.starts_with("--redis=") || word == "--help")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_is_started_for_who_has_none() {
        let wants = |words: &str| wants_redis(&words.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(wants("--store redis") && wants("--exit --store=redis --quiet"));
        for words in
            ["--exit", "--store memory", "redis --store", "--store redis --redis redis://h", "--store redis --help"]
        {
            assert!(!wants(words), "{words}");
        }
    }
}
