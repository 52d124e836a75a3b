//! The measuring: cells of contestants that take turns.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::runtime::Runtime;

use super::clients::{Entrant, Part};
use crate::{
    closed_loop::{self, Round},
    screen::Progress,
    stats::Spread,
};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) sizes: &'static [usize],
    pub(super) tasks: &'static [usize],
    pub(super) rounds: usize,
    pub(super) seconds: f64,
}

impl Scale {
    pub(super) const FULL: Self = Self { sizes: &[256, 4_096], tasks: &[1, 16, 128, 1_024], rounds: 5, seconds: 0.4 };
    pub(super) const QUICK: Self = Self { sizes: &[256], tasks: &[1, 128], rounds: 3, seconds: 0.03 };

    fn loads(&self) -> Vec<Load> {
        let mut loads = Vec::new();
        for what in [What::Get, What::Set, What::GetMany, What::Zipf] {
            // Batches and the near cache are measured with small values.
            let small = matches!(what, What::GetMany | What::Zipf);
            for size in self.sizes.iter().take(if small { 1 } else { self.sizes.len() }) {
                loads.extend(self.tasks.iter().map(|tasks| Load { what, size: *size, tasks: *tasks }));
            }
        }
        loads
    }
}

/// What the tasks do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Get,
    Set,
    /// A batch of 100.
    GetMany,
    /// Reads by Zipf's law.
    Zipf,
}

/// What the contestants are put to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) what: What,
    pub(super) size: usize,
    pub(super) tasks: usize,
}

impl Load {
    pub(super) fn name(&self) -> String {
        let what = match self.what {
            What::Get => "GET",
            What::Set => "SET",
            What::GetMany => "MGET of 100",
            What::Zipf => "GET by Zipf 0.99",
        };
        format!("{what}, {} bytes", self.size)
    }

    pub(super) fn slug(&self) -> String {
        let what = match self.what {
            What::Get => "get",
            What::Set => "set",
            What::GetMany => "mget",
            What::Zipf => "zipf",
        };
        format!("{what}-{}", self.size)
    }

    /// A near cache answers what is read again and again, and is not what the rest is about.
    fn wants(&self, part: Part) -> bool {
        part != Part::Near || self.what == What::Zipf
    }
}

/// One load, everybody's rounds.
pub(super) struct Cell {
    pub(super) load: Load,
    pub(super) rows: Vec<Row>,
}

/// A contestant's rounds.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) part: Part,
    pub(super) rounds: Vec<Round>,
}

impl Cell {
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        (self.load.what, self.load.size) == (other.load.what, other.load.size)
    }

    pub(super) fn row(&self, part: Part) -> Option<&Row> {
        self.rows.iter().find(|row| row.part == part)
    }
}

impl Row {
    pub(super) fn of(&self, figure: fn(&Round) -> f64) -> Spread {
        closed_loop::spread(&self.rounds, figure)
    }

    /// The median of the rounds' own ratios.
    pub(super) fn ratio(&self, to: &Self) -> f64 {
        closed_loop::ratio(&self.rounds, &to.rounds, |round| round.kops)
    }
}

pub(super) fn steps(scale: &Scale, entrants: &[Entrant]) -> usize {
    let of = |load: &Load| entrants.iter().filter(|entrant| load.wants(entrant.part)).count();
    scale.rounds * scale.loads().iter().map(of).sum::<usize>()
}

pub(super) fn measure(
    scale: &Scale,
    runtime: &Runtime,
    entrants: &[Entrant],
    progress: &Progress,
) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    // With values of which size each was filled last.
    let mut filled = vec![0; entrants.len()];
    for load in scale.loads() {
        progress.part(&format!("{}, {} tasks", load.name(), load.tasks));
        for (entrant, filled) in entrants.iter().zip(&mut filled) {
            if load.wants(entrant.part) && std::mem::replace(filled, load.size) != load.size {
                entrant.runner.fill(runtime, load.size).context(entrant.name)?;
            }
        }
        let taking_part = || entrants.iter().filter(|entrant| load.wants(entrant.part));
        let mut rows: Vec<_> =
            taking_part().map(|entrant| Row { name: entrant.name, part: entrant.part, rounds: Vec::new() }).collect();
        // The first round warms up, and is not counted.
        for round in 0..=scale.rounds as u64 {
            for (entrant, row) in taking_part().zip(&mut rows) {
                let span = Duration::from_secs_f64(scale.seconds);
                let span = if round == 0 { span / 4 } else { span };
                let came_to = entrant.runner.round(runtime, load, span, round).context(entrant.name)?;
                if round > 0 {
                    row.rounds.push(came_to);
                    progress.step();
                }
            }
        }
        cells.push(Cell { load, rows });
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_there() {
        assert_eq!(Scale::FULL.loads().len(), 4 * (2 + 2 + 1 + 1));
        assert!(Scale::FULL.loads().contains(&Load { what: What::Set, size: 4_096, tasks: 1_024 }));
    }

    #[test]
    fn the_near_cache_is_measured_where_it_can_help() {
        let wants = |what| Load { what, size: 256, tasks: 1 }.wants(Part::Near);
        assert_eq!([What::Get, What::Set, What::GetMany, What::Zipf].map(wants), [false, false, false, true]);
    }
}
