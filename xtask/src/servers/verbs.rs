//! `up` and `down`.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{
    Service, Version,
    certificates::Certificates,
    folders::{self, Home},
    keeper::Keeper,
    session,
    state::{self, State},
};
use crate::{screen::say, steps::Steps, workspace::Workspace};

/// Starts servers for tests and people, and leaves them up: Redis and its kin, NATS, a name server, a stub of Kubernetes.
///
/// Installs what is missing, takes free ports on 127.0.0.1, keeps its files under target/servers/, waits until every server
/// is ready, and prints what tests look for in their environment. What is up already is left as it is. Nothing is kept on
/// disk: a server that ends has lost all.
#[derive(Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// What to start; without any, says what is up
    #[arg(value_enum)]
    services: Vec<Service>,
    /// The server to run; else the usual one: redis7, nats2, bind9, stub
    #[arg(long, value_enum)]
    version: Option<Version>,
    /// After how many milliseconds a silent server counts as gone, for clusters and sentinels
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    failover_after: u64,
}

/// Ends what `up` started.
#[derive(Debug, clap::Args)]
pub(crate) struct DownArgs {
    /// What to end; without any, all
    #[arg(value_enum)]
    services: Vec<Service>,
    /// Only of this version; else of all
    #[arg(long, value_enum)]
    version: Option<Version>,
}

pub(crate) fn up(ws: &Workspace, args: &UpArgs) -> Result<()> {
    let home = Home::of(ws);
    let lock = home.lock()?;
    home.reap(&lock)?;
    if args.services.is_empty() {
        return list(&home);
    }
    let mut steps = Steps::new();
    let certificates = Certificates::at(&home.certificates())?;
    let (already, missing): (Vec<_>, Vec<_>) = distinct(&args.services)
        .into_iter()
        .map(|service| (service, args.version.unwrap_or_else(|| Version::usual(service))))
        .partition(|&(service, version)| session::is_up(&home, service, version).is_some());
    for (service, version) in already {
        say(format_args!("  ok {} ({}) is up already", service.name(), version.name()));
        session::is_up(&home, service, version).iter().for_each(show);
    }
    let patience = Duration::from_millis(args.failover_after);
    let orders = session::orders(ws, &mut steps, &home.up(), missing, &certificates, patience)?;
    for order in &orders {
        // What a crash left of it.
        state::end_at(&order.folder)?;
    }
    let started = Instant::now();
    let keeper = Keeper::of(&orders)?;
    let results = session::launch_each(&orders);
    // A failed one has left nothing.
    keeper.leave()?;
    for (order, result) in orders.iter().zip(results) {
        let name = format!("{} ({})", order.service.name(), order.version.name());
        match result {
            Ok(state) => {
                steps.pass(&name, started.elapsed());
                show(&state);
            }
            Err(err) => steps.fail(&name, &format!("{err:#}")),
        }
    }
    steps.finish("up")
}

pub(crate) fn down(ws: &Workspace, args: &DownArgs) -> Result<()> {
    let home = Home::of(ws);
    let lock = home.lock()?;
    home.reap(&lock)?;
    let mut ended = 0;
    for service in Service::all().filter(|service| args.services.is_empty() || args.services.contains(service)) {
        for version in Version::ALL.into_iter().filter(|version| args.version.is_none_or(|wanted| wanted == *version)) {
            if let Some(state) = state::end_at(&folders::of_service(&home.up(), service, version))? {
                say(format_args!("  ok {} ({}): {} ended", service.name(), version.name(), servers(&state)));
                ended += 1;
            }
        }
    }
    if ended == 0 {
        say("nothing was up");
    }
    Ok(())
}

/// Says what is up.
fn list(home: &Home) -> Result<()> {
    let mut any = false;
    for folder in folders::subfolders(&home.up())? {
        let Some(state) = State::load(&folder) else { continue };
        let how = if state.is_up() { "is up" } else { "is not whole: `up` starts it anew" };
        say(format_args!("     {} ({}) {how}", state.service.name(), state.version.name()));
        show(&state);
        any = true;
    }
    if !any {
        say(format_args!(
            "nothing is up; name what to start: {}",
            Service::all().map(Service::name).collect::<Vec<_>>().join(", ")
        ));
    }
    Ok(())
}

/// For a shell to read, and for a person.
fn show(state: &State) {
    for (name, value) in state.variables() {
        say(format_args!("export {name}='{value}'"));
    }
    for node in &state.nodes {
        say(format_args!("     {:<11} 127.0.0.1:{} pid {}", node.name, node.client_port, node.pid));
    }
}

fn servers(state: &State) -> String {
    match state.nodes.len() {
        1 => "1 server".to_owned(),
        many => format!("{many} servers"),
    }
}

/// Each once, in the order in which they were named.
fn distinct(services: &[Service]) -> Vec<Service> {
    let mut out = Vec::with_capacity(services.len());
    for service in services {
        if !out.contains(service) {
            out.push(*service);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_is_named_twice_is_started_once() {
        let twice = [Service::Cluster, Service::Redis, Service::Cluster];
        assert_eq!(distinct(&twice), [Service::Cluster, Service::Redis]);
    }
}
