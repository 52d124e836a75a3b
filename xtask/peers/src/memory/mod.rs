//! `memory`: throughput, latency and bytes per entry.

mod cells;
mod tables;

use anyhow::Result;

use self::cells::{Cell, Scale, Workload};
use crate::{
    Common,
    contestants::{Entrant, Role, decoded, entrants},
    footprint::{self, Footprint},
    plot,
    report::Mark,
    screen::{Progress, say},
};

/// Measures throughput, latency and bytes per entry.
///
/// String keys of 16 and 40 bytes, values of 256 bytes; all hits, and reads mixed with writes over ten times as many keys
/// as fit, by Zipf 0.99; 1, 2 and 8 threads. And hits of values that are kept decoded, through a typed handle over a near cache. Contestants take turns
/// within each round.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Rounds of each contestant in each cell; each has new draws [default: 5, or 3 with --quick]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Seconds for each contestant in each cell, about: all do the same operations, slow ones take longer
    /// [default: 1.2, or 0.06 with --quick]
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
}

impl Args {
    pub(crate) fn common(&self) -> &Common {
        &self.common
    }

    fn scale(&self) -> Scale {
        let mut scale = if self.common.quick { Scale::QUICK } else { Scale::FULL };
        scale.rounds = self.rounds.unwrap_or(scale.rounds).max(1);
        scale.seconds = self.seconds.unwrap_or(scale.seconds).max(0.001);
        scale
    }
}

/// The bytes of one contestant's entries, for each length of keys.
struct Bytes {
    name: &'static str,
    role: Role,
    footprints: Vec<Footprint>,
}

pub(crate) fn run(args: &Args) -> Result<Vec<Mark>> {
    let scale = args.scale();
    // Without the reference there is nothing to compare with.
    let chosen = |entrant: &Entrant| entrant.role == Role::Reference || args.common.wants(entrant.name);
    let entrants: Vec<_> = entrants().into_iter().filter(chosen).collect();
    let decoded: Vec<_> = decoded().into_iter().filter(chosen).collect();
    // First, while this program is still the one that was built.
    let bytes = weigh(&scale, &entrants)?;
    let (cells, notes) = measure(&scale, &entrants, &decoded);
    let marks = tables::marks(&cells, &bytes);

    say(tables::heading(&scale, args.common.quick));
    notes.iter().for_each(|note| say(format_args!("- {note}")));
    for of_workload in cells.chunk_by(Cell::is_beside) {
        say(tables::throughput(of_workload));
        let file = args.common.out.join(format!("memory-{}.svg", of_workload[0].slug()));
        plot::write(&file, &tables::bars(of_workload).draw())?;
    }
    say(tables::bytes(&scale, &bytes));
    say(format_args!("Plots: {}", args.common.out.join("memory-*.svg").display()));
    Ok(marks)
}

fn measure(scale: &Scale, entrants: &[Entrant], decoded: &[Entrant]) -> (Vec<Cell>, Vec<String>) {
    let progress = Progress::new(cells::steps(scale, entrants, decoded));
    let mut cells = Vec::new();
    let mut notes = Vec::new();
    for key_len in scale.key_lens {
        cells.extend(cells::hits(scale, Workload::Hits, *key_len, entrants, &progress));
        cells.extend(cells::hits(scale, Workload::Decoded, *key_len, decoded, &progress));
        let (mixed, told) = cells::mixed(scale, *key_len, entrants, &progress);
        cells.extend(mixed);
        notes.extend(told);
    }
    (cells, notes)
}

fn weigh(scale: &Scale, entrants: &[Entrant]) -> Result<Vec<Bytes>> {
    let progress = Progress::new(entrants.len() * scale.key_lens.len());
    progress.part("bytes per entry");
    let weigh = |entrant: &Entrant| {
        let measure = |len: &usize| {
            let footprint = footprint::measure(entrant, scale.weighed, *len);
            progress.step();
            footprint
        };
        let footprints = scale.key_lens.iter().map(measure).collect::<Result<_>>()?;
        Ok(Bytes { name: entrant.name, role: entrant.role, footprints })
    };
    entrants.iter().map(weigh).collect()
}
