//! `cluster`: memstache's engine beside `groupcache`, and beside bare frames.

mod cells;
mod contestants;
mod local;
mod tables;
mod tls;

use anyhow::Result;

use self::cells::Scale;
use crate::{
    Common, plot,
    report::Mark,
    screen::{Progress, say},
};

/// Measures reads of values that another node holds, over TLS on loopback, in a closed loop.
///
/// Values of 256 bytes by 1, 16 and 128 tasks: bare frames over one connection, calls between memstache's peers without an
/// engine, engines, and `groupcache`; then batches of 100 keys over three nodes beside single reads, and reads of what the
/// node holds itself beside a memory store behind the same handle. Contestants take turns within each round, over one
/// runtime of two threads; both ends are in this process: quote ratios.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Rounds of each contestant in each cell [default: 5, or 3 with --quick]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Seconds for each contestant in each round of each cell [default: 0.5, or 0.05 with --quick]
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
    let mut entrants = runtime.block_on(contestants::entrants())?;
    entrants.retain(|entrant| args.common.wants(entrant.part.name()));
    let progress = Progress::new(cells::steps(&scale, &entrants));
    let cells = cells::measure(&scale, &runtime, &entrants, &progress)?;
    progress.part("reads of what the node holds");
    let local = runtime.block_on(local::measure(&scale))?;
    drop(progress);

    say(tables::heading(&scale, args.common.quick));
    say(tables::throughput(&cells));
    say(tables::local(&local));
    let file = args.common.out.join("cluster.svg");
    plot::write(&file, &tables::bars(&cells).draw())?;
    say(format_args!("Plot: {}", file.display()));
    Ok(tables::marks(&cells, &local))
}
