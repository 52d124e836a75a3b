//! `demo`: the workspace at work.

use std::{env, time::Duration};

use anyhow::{Result, bail};

use crate::{
    process,
    servers::{One, Service, Version, system},
    steps::Steps,
    workspace::{DEMO, Workspace},
};

/// After how long a silent server would count as gone; one alone has nobody who counts.
const PATIENCE: Duration = Duration::from_secs(3);

/// Builds and runs the demo: a web service over SQLite, served through a memstache stack.
///
/// All words go to the demo; `cargo xtask demo --help` is its own help. With `--store redis` it gets a Redis for the
/// run, unless `--redis` says where one is; with `--discovery dns`, `nats` or `kubernetes` a server for it.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Words for the demo
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub(crate) args: Vec<String>,
}

pub(crate) fn run(ws: &Workspace, args: &Args) -> Result<()> {
    let wanted = wanted(&args.args);
    let mut command = ws.cargo(["run", "--release", "-p", DEMO]);
    if wanted.is_some_and(|(service, _)| !service.is_redis()) {
        // Left out else: what it takes to build clients of all of these is more than the rest.
        command.args(["--features", "discovery"]);
    }
    // Files named in the words are meant from where the caller stands.
    command.arg("--").args(&args.args).current_dir(env::current_dir()?);
    let Some((service, option)) = wanted else { return process::take_over(&mut command) };
    let mut steps = Steps::new();
    if service == Service::Dns {
        system(ws, &mut steps, "nsupdate")?;
    }
    // Ended by its keeper, too, should this process be killed.
    let one = One::start(ws, &mut steps, (service, Version::usual(service)), PATIENCE)?;
    let status = command.args([option, &one.state.url]).status();
    one.end()?;
    let status = status?;
    if !status.success() {
        bail!("{} ended with an error ({status})", process::describe(&command));
    }
    Ok(())
}

/// Which server the words ask for without saying where it is, and the option that says so.
fn wanted(words: &[String]) -> Option<(Service, &'static str)> {
    let asks = |option: &str, value: &str| {
        let one = format!("{option}={value}");
        words.contains(&one) || words.windows(2).any(|pair| pair[0] == option && pair[1] == value)
    };
    let (service, option) = if asks("--store", "redis") {
        (Service::Redis, "--redis")
    } else if asks("--discovery", "dns") {
        (Service::Dns, "--discovery-at")
    } else if asks("--discovery", "nats") {
        (Service::Nats, "--discovery-at")
    } else if asks("--discovery", "kubernetes") {
        (Service::KubeStub, "--discovery-at")
    } else {
        return None;
    };
    let given = words.iter().any(|word| word == option || word.starts_with(&format!("{option}=")) || word == "--help");
    (!given).then_some((service, option))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_started_for_who_has_none() {
        let wants = |words: &str| wanted(&words.split(' ').map(str::to_owned).collect::<Vec<_>>()).is_some();
        assert!(wants("--store redis") && wants("--exit --store=redis --quiet"));
        for way in ["dns", "nats", "kubernetes"] {
            assert!(wants(&format!("--cluster 3 --discovery {way}")));
            assert!(!wants(&format!("--cluster 3 --discovery={way} --discovery-at x")));
        }
        for words in
            ["--exit", "--store memory", "redis --store", "--store redis --redis redis://h", "--store redis --help"]
        {
            assert!(!wants(words), "{words}");
        }
    }
}
