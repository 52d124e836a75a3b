//! memstache beside other caches; `cargo xtask bench memory` and `cargo xtask bench hit-ratio` come here.

#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]
#![allow(clippy::print_stderr, reason = "a command-line tool says there what went wrong")]

mod allocator;
mod belady;
#[cfg(any(feature = "cluster", feature = "redis"))]
mod closed_loop;
#[cfg(feature = "cluster")]
mod cluster;
mod contestants;
mod footprint;
mod hit_ratio;
mod keys;
mod measure;
mod memory;
mod plot;
#[cfg(feature = "redis")]
mod redis;
mod report;
mod screen;
mod stats;
mod traces;
mod workloads;
mod zipf;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use self::{
    report::{Mark, marks_table},
    screen::say,
};

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

/// memstache beside other caches.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Memory(memory::Args),
    HitRatio(hit_ratio::Args),
    #[cfg(feature = "cluster")]
    Cluster(cluster::Args),
    #[cfg(feature = "redis")]
    Redis(redis::Args),
    #[command(hide = true)]
    Footprint(footprint::Args),
}

/// Options of every comparison.
#[derive(Debug, clap::Args)]
struct Common {
    /// Less of everything: shows in under a minute that it works, no figures to quote
    #[arg(long)]
    quick: bool,
    /// End with an error if a mark is missed
    #[arg(long)]
    check: bool,
    /// Only contestants with this in their names, or of this very name after an equals sign (repeatable)
    #[arg(long = "only", value_name = "NAME")]
    only: Vec<String>,
    /// Where plots are written
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    out: PathBuf,
}

impl Common {
    fn wants(&self, name: &str) -> bool {
        let is_it =
            |part: &String| part.strip_prefix('=').map_or_else(|| name.contains(part.as_str()), |exact| name == exact);
        self.only.is_empty() || self.only.iter().any(is_it)
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse().verb) {
        Ok(code) => code,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: &Verb) -> anyhow::Result<ExitCode> {
    let (marks, common) = match verb {
        Verb::Memory(args) => (memory::run(args)?, args.common()),
        Verb::HitRatio(args) => (hit_ratio::run(args)?, args.common()),
        #[cfg(feature = "cluster")]
        Verb::Cluster(args) => (cluster::run(args)?, args.common()),
        #[cfg(feature = "redis")]
        Verb::Redis(args) => (redis::run(args)?, args.common()),
        Verb::Footprint(args) => {
            footprint::run(args)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    Ok(judge(&marks, common))
}

fn judge(marks: &[Mark], common: &Common) -> ExitCode {
    say(format_args!("\n## Marks\n\n{}", marks_table(marks)));
    let missed = marks.iter().any(|mark| mark.met() == Some(false));
    if common.check && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
