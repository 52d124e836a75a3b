//! `hit-ratio`: who guesses best what is asked for next.

mod play;
mod tables;

use std::path::PathBuf;

use anyhow::Result;

use self::play::Cell;
use crate::{
    Common,
    contestants::players,
    plot,
    report::Mark,
    screen::{Progress, say},
    traces::{self, Format, Trace},
    workloads::{GENERATORS, Group},
};

/// Requests of a generator.
const GENERATED: usize = 3_000_000;
/// Traces are cut here, as they were for the figures of the peers.
const LIMIT: usize = 4_000_000;
const QUICK: usize = 40_000;

/// Measures hit ratios over recorded and generated requests.
///
/// One request after the other: a get, and an insert if it missed. Peers count entries, and memstache's policies are
/// played the same way; the store itself, which counts bytes, is a row of its own where the capacity is large. Not timed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// A trace to play instead of those found and generated (repeatable); unpacked if it ends in `.xz`
    #[arg(long = "trace", value_name = "FILE")]
    traces: Vec<PathBuf>,
    /// How these traces are written [default: be32 for `.trace`, else text]
    #[arg(long, value_name = "FORMAT")]
    trace_format: Option<Format>,
    /// Whose marks these traces count for
    #[arg(long, value_name = "GROUP", default_value = "real")]
    trace_group: Group,
    /// Where traces are sought, in folders below too: `.trace` and `.trace.xz`, in be32
    #[arg(long, value_name = "FOLDER", default_value = "../shared/traces")]
    folder: PathBuf,
    /// Play at most so many requests of a trace [default: 4000000, or 40000 with --quick]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Capacities, in percent of the distinct keys
    #[arg(long, value_name = "PERCENT,..", value_delimiter = ',', default_value = "1,5,20")]
    capacities: Vec<f64>,
}

impl Args {
    pub(crate) fn common(&self) -> &Common {
        &self.common
    }
}

/// Requests that can be had when they are needed: all at once would take a lot of memory.
struct Source<'a> {
    name: String,
    group: Group,
    read: Box<dyn Fn() -> Result<Trace> + 'a>,
}

pub(crate) fn run(args: &Args) -> Result<Vec<Mark>> {
    let players: Vec<_> = players().into_iter().filter(|player| args.common.wants(player.name)).collect();
    let sources = sources(args);
    let progress = Progress::new(sources.len() * args.capacities.len() * (players.len() + 1));
    let mut cells = Vec::new();
    for source in &sources {
        progress.part(&source.name);
        let trace = (source.read)()?;
        cells.extend(play::play(&source.name, source.group, &trace, &args.capacities, &players, &progress));
    }
    drop(progress);
    print(args, &cells)?;
    Ok(tables::marks(&cells))
}

fn print(args: &Args, cells: &[Cell]) -> Result<()> {
    say(tables::heading(args.common.quick));
    for group in Group::ALL {
        let of_group: Vec<_> = cells.iter().filter(|cell| cell.group == group).collect();
        if !of_group.is_empty() {
            say(tables::ratios(group, &of_group));
            say(tables::regrets(&of_group));
        }
    }
    for of_workload in cells.chunk_by(|one, other| one.workload == other.workload) {
        let name = of_workload[0].workload.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let file = args.common.out.join(format!("hit-ratio-{name}.svg"));
        plot::write(&file, &tables::lines(of_workload).draw())?;
    }
    say(format_args!("Plots: {}", args.common.out.join("hit-ratio-*.svg").display()));
    Ok(())
}

fn sources(args: &Args) -> Vec<Source<'_>> {
    let quick = args.common.quick;
    let limit = args.limit.unwrap_or(if quick { QUICK } else { LIMIT });
    let recorded = |path: PathBuf, format, group| Source {
        name: traces::name(&path),
        group,
        read: Box::new(move || traces::read(&path, format, limit)),
    };
    if !args.traces.is_empty() {
        let named = |path: &PathBuf| recorded(path.clone(), args.trace_format, args.trace_group);
        return args.traces.iter().map(named).collect();
    }
    let found = traces::find(&args.folder);
    if found.is_empty() {
        say(format_args!("note: no traces in {}, so only what generators make is played", args.folder.display()));
    }
    let requests = if quick { QUICK } else { GENERATED };
    let generated = GENERATORS.iter().map(|generator| Source {
        name: generator.name.to_owned(),
        group: generator.group,
        read: Box::new(move || Ok(Trace::of((generator.make)(requests)))),
    });
    found.into_iter().map(|path| recorded(path, None, Group::Real)).chain(generated).collect()
}
