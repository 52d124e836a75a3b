//! The measuring: cells of contestants that take turns.

use fastrand::Rng;

use crate::{
    contestants::{Entrant, Role, Setup},
    keys::Keys,
    measure::{Mix, Plan, Round, Runner},
    screen::Progress,
    stats::{self, Spread},
    zipf::Zipf,
};

const EXPONENT: f64 = 0.99;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Keys that all are resident where everything hits.
    pub(super) resident: usize,
    /// Keys that are asked for where not all fit.
    pub(super) universe: usize,
    /// How many of them fit.
    pub(super) capacity: usize,
    /// Read-through draws before anything is measured, so that every policy has learned what is popular.
    pub(super) prefill: usize,
    /// Entries whose bytes are counted.
    pub(super) weighed: usize,
    pub(super) key_lens: &'static [usize],
    pub(super) threads: &'static [usize],
    pub(super) rounds: usize,
    pub(super) seconds: f64,
    /// Operations of the round that is not counted.
    pub(super) trial: usize,
}

impl Scale {
    pub(super) const FULL: Self = Self {
        resident: 100_000,
        universe: 1_000_000,
        capacity: 100_000,
        prefill: 1_500_000,
        weighed: 1_000_000,
        key_lens: &[Keys::SHORT, Keys::LONG],
        threads: &[1, 2, 8],
        rounds: 5,
        seconds: 1.2,
        trial: 100_000,
    };
    pub(super) const QUICK: Self = Self {
        resident: 10_000,
        universe: 100_000,
        capacity: 10_000,
        prefill: 100_000,
        weighed: 100_000,
        key_lens: &[Keys::SHORT],
        rounds: 3,
        seconds: 0.06,
        trial: 5_000,
        ..Self::FULL
    };
}

/// What is asked of the contestants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Workload {
    Hits,
    /// The same, of values that are kept decoded.
    Decoded,
    /// Percent of writes.
    Mixed(u32),
}

impl Workload {
    const MIXED: [Self; 2] = [Self::Mixed(5), Self::Mixed(50)];

    fn puts(self) -> u32 {
        match self {
            Self::Hits | Self::Decoded => 0,
            Self::Mixed(puts) => puts,
        }
    }

    pub(super) fn name(self) -> String {
        match self {
            Self::Hits => "all hits".to_owned(),
            Self::Decoded => "all hits, decoded".to_owned(),
            Self::Mixed(puts) => format!("{} % reads, {puts} % writes", 100 - puts),
        }
    }
}

/// One workload with one length of keys and one number of threads.
pub(super) struct Cell {
    pub(super) workload: Workload,
    pub(super) key_len: usize,
    pub(super) threads: usize,
    pub(super) rows: Vec<Row>,
}

/// What one contestant did in a cell.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) role: Role,
    rounds: Vec<Round>,
}

impl Cell {
    /// Whether the other differs by its threads alone.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        (self.workload, self.key_len) == (other.workload, other.key_len)
    }

    pub(super) fn slug(&self) -> String {
        let workload = match self.workload {
            Workload::Hits => "hits".to_owned(),
            Workload::Decoded => "decoded".to_owned(),
            Workload::Mixed(puts) => format!("{}-{puts}", 100 - puts),
        };
        format!("{workload}-{}", self.key_len)
    }

    pub(super) fn row(&self, role: Role) -> Option<&Row> {
        self.rows.iter().find(|row| row.role == role)
    }
}

impl Row {
    pub(super) fn of(&self, figure: fn(&Round) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(figure))
    }

    /// The median of this row's figure in parts of the other's in the same round; NaN without another.
    pub(super) fn ratio(&self, other: Option<&Self>, figure: fn(&Round) -> f64) -> f64 {
        let pairs = other.into_iter().flat_map(|other| self.rounds.iter().zip(&other.rounds));
        Spread::of(pairs.map(|(ours, theirs)| figure(ours) / figure(theirs))).median
    }
}

/// Steps of the progress bar.
pub(super) fn steps(scale: &Scale, entrants: &[Entrant], decoded: &[Entrant]) -> usize {
    let bounded = entrants.iter().filter(|it| it.role != Role::Bound).count();
    let cell = (scale.rounds + 1) * scale.threads.len();
    let workload = |entrants: usize, workloads: usize| entrants * (1 + workloads * cell);
    scale.key_lens.len()
        * (workload(entrants.len(), 1) + workload(decoded.len(), 1) + workload(bounded, Workload::MIXED.len()))
}

/// Everything that is asked for is there.
pub(super) fn hits(
    scale: &Scale,
    workload: Workload,
    key_len: usize,
    entrants: &[Entrant],
    progress: &Progress,
) -> Vec<Cell> {
    let keys = Keys::new(key_len, scale.resident);
    let setup = Setup { keys: &keys, capacity: 2 * scale.resident, exact: false };
    let everything: Vec<_> = (0..scale.resident as u32).collect();
    let mut field = Field::new(scale, setup, entrants.iter().collect(), &everything, progress);
    let zipf = Zipf::new(scale.resident as u32, EXPONENT);
    scale.threads.iter().map(|threads| field.cell(workload, zipf, *threads)).collect()
}

/// A part of what is asked for fits. Says how the contestants were set up, too.
pub(super) fn mixed(
    scale: &Scale,
    key_len: usize,
    entrants: &[Entrant],
    progress: &Progress,
) -> (Vec<Cell>, Vec<String>) {
    let keys = Keys::new(key_len, scale.universe);
    let setup = Setup { keys: &keys, capacity: scale.capacity, exact: true };
    let zipf = Zipf::new(scale.universe as u32, EXPONENT);
    let mut rng = Rng::with_seed(1);
    let prefill: Vec<_> = (0..scale.prefill).map(|_| zipf.draw(&mut rng)).collect();
    // A map without a bound holds more and hits more: it is no measure here.
    let bounded = entrants.iter().filter(|entrant| entrant.role != Role::Bound).collect();
    let mut field = Field::new(scale, setup, bounded, &prefill, progress);
    let notes = field.notes();
    let cells = Workload::MIXED.iter().flat_map(|workload| scale.threads.iter().map(|threads| (*workload, *threads)));
    (cells.map(|(workload, threads)| field.cell(workload, zipf, threads)).collect(), notes)
}

/// Contestants that were set up alike.
struct Field<'a> {
    scale: &'a Scale,
    keys: &'a Keys,
    runners: Vec<(&'a Entrant, Box<dyn Runner>)>,
    progress: &'a Progress,
    /// Plans drawn so far; every one has a seed of its own.
    drawn: u64,
}

impl<'a> Field<'a> {
    fn new(
        scale: &'a Scale,
        setup: Setup<'a>,
        entrants: Vec<&'a Entrant>,
        prefill: &[u32],
        progress: &'a Progress,
    ) -> Self {
        progress.part(&format!("setting up, keys of {} bytes", setup.keys.len()));
        let set_up = |entrant: &'a Entrant| {
            let mut runner = (entrant.make)(&setup);
            runner.read_through(setup.keys, &mut prefill.iter().copied());
            progress.step();
            (entrant, runner)
        };
        Self { scale, keys: setup.keys, runners: entrants.into_iter().map(set_up).collect(), progress, drawn: 1 }
    }

    fn notes(&self) -> Vec<String> {
        let note = |(entrant, runner): &(&Entrant, Box<dyn Runner>)| {
            Some(format!("{}, keys of {} bytes: {}", entrant.name, self.keys.len(), runner.note()?))
        };
        self.runners.iter().filter_map(note).collect()
    }

    fn cell(&mut self, workload: Workload, zipf: Zipf, threads: usize) -> Cell {
        let (key_len, mix) = (self.keys.len(), Mix { zipf, puts: workload.puts() });
        self.progress.part(&format!("{}, keys of {key_len} bytes, threads: {threads}", workload.name()));
        let trial = self.round(mix, threads, self.scale.trial, 0);
        // All do the same operations; the one in the middle takes as long as was asked for.
        let rate = stats::geometric_mean(trial.iter().map(|round| round.mops * 1e6));
        let ops = (rate * self.scale.seconds / self.scale.rounds as f64) as usize;
        let rounds: Vec<_> =
            (0..self.scale.rounds).map(|turn| self.round(mix, threads, ops.clamp(5_000, 10_000_000), turn)).collect();
        let row = |(at, (entrant, _)): (usize, &(&Entrant, _))| Row {
            name: entrant.name,
            role: entrant.role,
            rounds: rounds.iter().map(|of_all| of_all[at]).collect(),
        };
        let rows = self.runners.iter().enumerate().map(row).collect();
        Cell { workload, key_len, threads, rows }
    }

    /// One turn of each contestant, over the same new draws; who begins changes from round to round.
    fn round(&mut self, mix: Mix, threads: usize, ops: usize, turn: usize) -> Vec<Round> {
        self.drawn += 1;
        let plan = Plan::draw(mix, threads, ops, self.drawn);
        let count = self.runners.len();
        let mut rounds: Vec<_> = (0..count)
            .map(|place| {
                let at = (place + turn) % count;
                let round = self.runners[at].1.round(self.keys, &plan);
                self.progress.step();
                (at, round)
            })
            .collect();
        rounds.sort_by_key(|(at, _)| *at);
        rounds.into_iter().map(|(_, round)| round).collect()
    }
}
