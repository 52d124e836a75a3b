//! The measuring: cells of contestants that take turns.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::runtime::Runtime;

use super::contestants::{Entrant, Part};
use crate::{
    closed_loop::{self, Round},
    screen::Progress,
};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) tasks: &'static [usize],
    pub(super) rounds: usize,
    pub(super) seconds: f64,
}

impl Scale {
    pub(super) const FULL: Self = Self { tasks: &[1, 16, 128], rounds: 5, seconds: 0.5 };
    pub(super) const QUICK: Self = Self { tasks: &[1, 128], rounds: 3, seconds: 0.05 };

    pub(super) fn span(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

/// One number of tasks, everybody's rounds.
pub(super) struct Cell {
    pub(super) tasks: usize,
    pub(super) rows: Vec<Row>,
}

/// A contestant's rounds.
pub(super) struct Row {
    pub(super) part: Part,
    pub(super) rounds: Vec<Round>,
}

impl Cell {
    pub(super) fn row(&self, part: Part) -> Option<&Row> {
        self.rows.iter().find(|row| row.part == part)
    }
}

impl Row {
    /// The median of the rounds' own ratios.
    pub(super) fn ratio(&self, to: &Self, figure: fn(&Round) -> f64) -> f64 {
        closed_loop::ratio(&self.rounds, &to.rounds, figure)
    }
}

pub(super) fn steps(scale: &Scale, entrants: &[Entrant]) -> usize {
    scale.rounds * scale.tasks.len() * entrants.len()
}

pub(super) fn measure(
    scale: &Scale,
    runtime: &Runtime,
    entrants: &[Entrant],
    progress: &Progress,
) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for tasks in scale.tasks.iter().copied() {
        progress.part(&format!("{tasks} tasks"));
        let mut rows: Vec<_> = entrants.iter().map(|entrant| Row { part: entrant.part, rounds: Vec::new() }).collect();
        // The first round warms up, and is not counted.
        for round in 0..=scale.rounds {
            for (entrant, row) in entrants.iter().zip(&mut rows) {
                let span = if round == 0 { scale.span() / 4 } else { scale.span() };
                let came_to = entrant.runner.round(runtime, tasks, span).context(entrant.part.name())?;
                if round > 0 {
                    row.rounds.push(came_to);
                    progress.step();
                }
            }
        }
        cells.push(Cell { tasks, rows });
    }
    Ok(cells)
}
