//! `chaos`: what users of a Redis notice when it is mistreated.

mod cell;
mod control;
mod fault;
mod load;
mod table;

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use self::{
    cell::{Cell, Seen},
    fault::Fault,
};
use crate::{
    screen::say,
    servers::{Service, Version},
    steps::Steps,
    workspace::Workspace,
};

/// Mistreats a store's servers while they are under load, and judges what readers saw.
///
/// Every cell of the matrix starts fresh servers, puts a load on them, does what its name says to the primary, and holds what
/// came of it to the promises: reads with a loader see no error, plain reads recover within a second after a healthy
/// primary exists, no answer is wrong or older than the published bound. Prints a table of the outages, and writes it to
/// target/chaos/.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Whose servers
    #[arg(value_enum)]
    _subject: Subject,
    /// The server to run
    #[arg(long, value_enum, default_value_t)]
    version: Version,
    /// Only this topology (repeatable)
    #[arg(long = "topology", value_enum, value_name = "NAME")]
    topologies: Vec<Topology>,
    /// Only this fault (repeatable)
    #[arg(long = "fault", value_enum, value_name = "NAME")]
    faults: Vec<Fault>,
    /// Seconds of load for each cell
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(8..=600))]
    seconds: u64,
    /// Number from which the load is made up
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

/// What can be mistreated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    Redis,
}

/// How the servers stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Topology {
    Single,
    Sentinel,
    Cluster,
}

impl Topology {
    const ALL: [Self; 3] = [Self::Single, Self::Sentinel, Self::Cluster];

    fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
        }
    }

    fn service(self) -> Service {
        match self {
            Self::Single => Service::Redis,
            Self::Sentinel => Service::Sentinel,
            Self::Cluster => Service::Cluster,
        }
    }
}

pub(crate) fn run(ws: &Workspace, args: &Args) -> Result<()> {
    let mut steps = Steps::new();
    let Some(program) = load::build(ws, &mut steps) else { return steps.finish("chaos") };
    let span = Duration::from_secs(args.seconds);
    let mut outcomes = Vec::new();
    for (topology, fault) in cells(&args.topologies, &args.faults) {
        let cell = Cell { topology, fault, version: args.version, span, seed: args.seed };
        match cell.run(ws, &mut steps, &program) {
            Ok(seen) => {
                tell(&mut steps, &cell, &seen);
                outcomes.push((cell, seen));
            }
            Err(err) => steps.fail(&cell.name(), &format!("{err:#}")),
        }
    }
    let table = table::markdown(&outcomes);
    say(&table);
    table::write(ws, args.version, &table, &outcomes)?;
    steps.finish("chaos")
}

fn tell(steps: &mut Steps, cell: &Cell, seen: &Seen) {
    let broken = seen.broken();
    if broken.is_empty() {
        steps.pass(&cell.name(), cell.span);
        return;
    }
    let told = seen.load.told.iter().map(|told| format!("\n     {told}"));
    steps.fail(&cell.name(), &(broken.join("; ") + &told.collect::<String>()));
}

/// The cells that exist, of those that were chosen; all if nothing was.
fn cells(topologies: &[Topology], faults: &[Fault]) -> Vec<(Topology, Fault)> {
    let chosen = |topology: &Topology| topologies.is_empty() || topologies.contains(topology);
    let mut cells = Vec::new();
    for topology in Topology::ALL.into_iter().filter(chosen) {
        let faults = Fault::ALL.into_iter().filter(|fault| faults.is_empty() || faults.contains(fault));
        cells.extend(faults.filter(|fault| fault.exists(topology)).map(|fault| (topology, fault)));
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_has_every_cell_that_exists() {
        assert_eq!(cells(&[], &[]).len(), 3 * Fault::ALL.len() - 1, "a single server has nobody to fail over to");
        assert_eq!(cells(&[Topology::Cluster], &[Fault::Kill]), [(Topology::Cluster, Fault::Kill)]);
        assert_eq!(cells(&[Topology::Single], &[Fault::Failover]), []);
    }
}
