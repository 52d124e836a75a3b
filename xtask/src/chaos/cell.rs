//! One topology, one fault.

use std::{path::Path, thread, time::Duration};

use anyhow::Result;

use super::{
    Topology,
    control::{self, Control},
    fault::Fault,
    load::{Load, Summary},
};
use crate::{
    servers::{One, Version},
    steps::Steps,
    workspace::Workspace,
};

/// Load before the fault.
const WARM: Duration = Duration::from_millis(1_500);
/// After how long a silent server counts as gone.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long values live; a failover that loses a removal may show what was removed for so long.
const TTL: Duration = Duration::from_secs(5);
/// How old an answer may be that was not confirmed since.
const MAX_STALENESS: Duration = Duration::from_secs(2);
/// Between a clock's look and what it looks at, on a machine that has much to do.
const SLACK: Duration = Duration::from_millis(250);
/// Plain reads recover so soon after a healthy primary exists.
const RECOVERY: u64 = 1_000;

/// What is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) topology: Topology,
    pub(super) fault: Fault,
    pub(super) version: Version,
    pub(super) span: Duration,
    pub(super) seed: u64,
}

/// What came of it. Times are in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) load: Summary,
    /// From the first failed plain read to the last.
    pub(super) outage: u64,
    /// From the fault until there was a healthy primary for good; `None` if there was none.
    pub(super) healthy: Option<u64>,
    /// From then until the last failed plain read.
    pub(super) recovery: Option<u64>,
    /// Whether there had to be a healthy primary in the end.
    pub(super) ends: bool,
}

impl Cell {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.topology.name(), self.fault.name())
    }

    pub(super) fn run(&self, ws: &Workspace, steps: &mut Steps, program: &Path) -> Result<Seen> {
        let mut one = One::start(ws, steps, (self.topology.service(), self.version), PATIENCE)?;
        let result = self.mistreat(&mut one, program);
        one.end()?;
        result
    }

    fn mistreat(&self, one: &mut One, program: &Path) -> Result<Seen> {
        let load = Load::start(program, &self.words(&one.state.url))?;
        thread::sleep(WARM);
        let control = Control::of(&one.state, self.topology);
        let fault = control::now();
        let injected = self.fault.inject(one, self.topology);
        let summary = load.end();
        let looks = control.end();
        injected?;
        let seen = Seen::of(summary?, control::healthy_from(&looks, fault), fault);
        Ok(Seen { ends: self.fault.ends(self.topology), ..seen })
    }

    /// The command line of the load.
    fn words(&self, url: &str) -> Vec<String> {
        let may_lose = self.fault.may_lose(self.topology);
        let bound = if may_lose { TTL + SLACK } else { Duration::ZERO };
        let near_bound = bound.max(MAX_STALENESS + SLACK);
        let millis = |span: Duration| span.as_millis().to_string();
        [
            ("--url", url.to_owned()),
            ("--millis", millis(self.span)),
            ("--ttl", millis(TTL)),
            ("--max-staleness", millis(MAX_STALENESS)),
            ("--bound", millis(bound)),
            ("--near-bound", millis(near_bound)),
            ("--seed", self.seed.to_string()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
    }
}

impl Seen {
    fn of(load: Summary, healthy: Option<u64>, fault: u64) -> Self {
        let (first, last) = (load.plain.first_error, load.plain.last_error);
        let outage = first.zip(last).map_or(0, |(first, last)| last - first);
        let last = last.map_or(0, |last| load.started + last);
        Self {
            outage,
            healthy: healthy.map(|at| at - fault),
            recovery: healthy.map(|at| last.saturating_sub(at)),
            ends: false,
            load,
        }
    }

    /// The promises that were not kept.
    pub(super) fn broken(&self) -> Vec<String> {
        let Self { load, recovery, healthy, ends, .. } = self;
        let mut broken = Vec::new();
        if load.violations > 0 {
            broken.push(format!("{} of {} reads saw what they must not", load.violations, load.judged));
        }
        if load.loaded.errors > 0 {
            broken.push(format!("{} reads with a loader failed: {:?}", load.loaded.errors, load.loaded.kinds));
        }
        if let Some(late) = recovery.filter(|recovery| *recovery > RECOVERY) {
            broken.push(format!("plain reads recovered {late} ms after there was a healthy primary"));
        }
        if *ends && healthy.is_none() {
            broken.push("there was no healthy primary to the end".to_owned());
        }
        if load.judged == 0 {
            broken.push("no read could be judged".to_owned());
        }
        let silent = [("plain", &load.plain), ("near", &load.near), ("loaded", &load.loaded), ("writes", &load.writes)];
        broken.extend(
            silent.iter().filter(|(_, it)| it.answered == 0).map(|(name, _)| format!("{name}: no answer at all")),
        );
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::{super::load::Tally, *};

    fn load(first_error: Option<u64>, last_error: Option<u64>) -> Summary {
        let answered = Tally { answered: 100, ..Tally::default() };
        Summary {
            started: 10_000,
            plain: Tally { first_error, last_error, ..answered.clone() },
            near: answered.clone(),
            loaded: answered.clone(),
            writes: answered,
            judged: 300,
            ..Summary::default()
        }
    }

    #[test]
    fn recovery_counts_from_when_there_is_a_healthy_primary() {
        let seen = Seen::of(load(Some(1_600), Some(4_000)), Some(13_500), 11_500);
        assert_eq!((seen.outage, seen.healthy, seen.recovery), (2_400, Some(2_000), Some(500)));
        assert_eq!(seen.broken(), [""; 0]);
        let seen = Seen::of(load(Some(1_600), Some(4_600)), Some(13_500), 11_500);
        assert_eq!(seen.broken(), ["plain reads recovered 1100 ms after there was a healthy primary"]);
    }

    #[test]
    fn a_primary_that_stays_away_needs_no_recovery() {
        let seen = Seen::of(load(Some(1_600), Some(9_999)), None, 11_500);
        assert_eq!((seen.healthy, seen.recovery, seen.broken()), (None, None, Vec::new()));
        let lost = Seen { ends: true, ..seen };
        assert_eq!(lost.broken(), ["there was no healthy primary to the end"]);
        let blind = Summary { judged: 0, ..load(None, None) };
        assert_eq!(Seen::of(blind, Some(11_500), 11_500).broken(), ["no read could be judged"]);
        let unharmed = Seen::of(load(None, None), Some(11_500), 11_500);
        assert_eq!((unharmed.outage, unharmed.recovery), (0, Some(0)));
    }

    #[test]
    fn every_broken_promise_is_told() {
        let mut load = load(None, None);
        load.violations = 2;
        load.loaded.errors = 3;
        load.near.answered = 0;
        let broken = Seen::of(load, None, 0).broken();
        assert_eq!(broken.len(), 3, "{broken:?}");
        assert!(broken[0].starts_with("2 of 300 reads") && broken[2] == "near: no answer at all", "{broken:?}");
    }

    #[test]
    fn bounds_are_wider_only_where_a_failover_may_lose() {
        let words = |topology, fault| {
            let (version, span) = (Version::Redis7, Duration::from_secs(10));
            Cell { topology, fault, version, span, seed: 7 }.words("redis://x").join(" ")
        };
        assert!(words(Topology::Single, Fault::Pause).contains("--bound 0 --near-bound 2250"));
        assert!(words(Topology::Sentinel, Fault::Pause).contains("--bound 5250 --near-bound 5250"));
    }
}
