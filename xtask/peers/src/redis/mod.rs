//! `redis`: memstache over Redis beside the clients that speak to it.

mod cells;
mod clients;
mod measure;
mod tables;

use anyhow::Result;

use self::{
    cells::{Cell, Scale},
    clients::{Entrant, Part},
};
use crate::{
    Common, plot,
    report::Mark,
    screen::{Progress, say},
};

/// Measures operations a second over one Redis, in a closed loop.
///
/// GET and SET of 256 and 4,096 bytes by 1, 16, 128 and 1,024 tasks, MGET of 100 keys, and reads by Zipf 0.99: bare fred,
/// fred with the very commands that memstache sends, redis-rs, memstache's store, its whole stack (postcard, lz4, sealed),
/// and that with a near cache. Contestants take turns within each round, over one runtime of two threads. The server has
/// the same cores: quote ratios.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The server; `cargo xtask bench redis` starts one
    #[arg(long)]
    url: String,
    /// Rounds of each contestant in each cell [default: 5, or 3 with --quick]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Seconds for each contestant in each round of each cell [default: 0.4, or 0.03 with --quick]
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

pub(crate) fn run(args: &Args) -> Result<Vec<Mark>> {
    let scale = args.scale();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // Without the reference there is nothing to compare with.
    let chosen = |entrant: &Entrant| entrant.part == Part::Reference || args.common.wants(entrant.name);
    let entrants: Vec<_> = clients::entrants(&runtime, &args.url)?.into_iter().filter(chosen).collect();
    let progress = Progress::new(cells::steps(&scale, &entrants));
    let cells = cells::measure(&scale, &runtime, &entrants, &progress)?;
    drop(progress);

    say(tables::heading(&scale, args.common.quick));
    for of_workload in cells.chunk_by(Cell::is_beside) {
        say(tables::throughput(of_workload));
        let file = args.common.out.join(format!("redis-{}.svg", of_workload[0].load.slug()));
        plot::write(&file, &tables::bars(of_workload).draw())?;
    }
    say(format_args!("Plots: {}", args.common.out.join("redis-*.svg").display()));
    Ok(tables::marks(&cells))
}
