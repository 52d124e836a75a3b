//! What is promised, held against what was seen.

use std::{fmt, sync::Arc, time::Duration};

use indicatif::HumanCount;

use super::{agreement::WITHIN, tally::Tally};

/// With so many products for each node, one that owns none is no chance: of three it would be one in 10^10.
const ENOUGH: u64 = 20;

/// All that was seen.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) steady: Steady,
    /// Steady first.
    pub(super) phases: Vec<Row>,
}

/// What was seen while nobody came or went.
#[derive(Debug)]
pub(super) struct Steady {
    pub(super) tally: Arc<Tally>,
    pub(super) nodes: Vec<Loaded>,
    /// Products that were loaded, by whichever node.
    pub(super) distinct: u64,
    /// Loads of the product that was loaded most, by all nodes together.
    pub(super) most: u64,
    /// How often a node went over to another table of owners.
    pub(super) changes: u64,
}

/// What one node has loaded.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) name: String,
    pub(super) loads: u64,
    pub(super) distinct: u64,
}

/// One phase.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) nodes: usize,
    pub(super) tally: Arc<Tally>,
    pub(super) loads: u64,
    pub(super) agreed: Agreed,
}

/// How long it took until all nodes saw the same members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreed {
    Before,
    After(Duration),
    Never,
}

impl From<Option<Duration>> for Agreed {
    fn from(took: Option<Duration>) -> Self {
        took.map_or(Self::Never, Self::After)
    }
}

/// One promise, and whether it was kept.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) kept: bool,
    name: &'static str,
    told: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, name, told } = self;
        write!(f, "  {:<6}  {name:<9}  {told}", if *kept { "ok" } else { "FAILED" })
    }
}

impl Evidence {
    /// Judges each promise.
    pub(super) fn verdicts(&self) -> [Verdict; 4] {
        [self.once(), self.shared(), self.errors(), self.agreed()]
    }

    fn once(&self) -> Verdict {
        let Steady { tally, nodes, distinct, most, changes } = &self.steady;
        let loads: u64 = nodes.iter().map(|node| node.loads).sum();
        let asked = tally.asked.len() as u64;
        let told = format!(
            "{} asked for and {} while nobody came or went: at most {} of each; owners changed {} then",
            many(asked, "product"),
            many(loads, "load"),
            many(*most, "load"),
            many(*changes, "time"),
        );
        let kept = asked > 0 && *most == 1 && loads == *distinct && *distinct == asked && *changes == 0;
        Verdict { kept, name: "once each", told }
    }

    /// Without this one, the others would hold for nodes that know nothing of each other.
    fn shared(&self) -> Verdict {
        let Steady { tally, nodes, distinct, .. } = &self.steady;
        let remote: u64 = tally.nodes.values().map(|node| node.remote.len() as u64).sum();
        let owners = nodes.iter().filter(|node| node.distinct > 0).count();
        let told = format!(
            "{owners} of {} own products; {} by one hop to an owner",
            many(nodes.len() as u64, "node"),
            many(remote, "hit"),
        );
        // Of few products, a node may own none by chance.
        let all = owners == nodes.len() || *distinct < ENOUGH * nodes.len() as u64;
        Verdict { kept: all && owners > 1 && remote > 0, name: "shared", told }
    }

    fn errors(&self) -> Verdict {
        let sum = |of: fn(&Tally) -> u64| self.phases.iter().map(|row| of(&row.tally)).sum::<u64>();
        let (requests, errors) = (sum(Tally::requests), sum(|tally| tally.errors));
        let first = self.phases.iter().find_map(|row| row.tally.first_error.as_ref());
        let first = first.map(|error| format!("; the first: {error:#}")).unwrap_or_default();
        let told = format!("{} of {} over all phases{first}", many(errors, "error"), many(requests, "request"));
        let answered = self.phases.iter().all(|row| row.tally.requests() > 0);
        Verdict { kept: errors == 0 && answered, name: "errors", told }
    }

    fn agreed(&self) -> Verdict {
        let told = |row: &Row| match row.agreed {
            Agreed::Before => None,
            Agreed::After(took) => Some(format!("{} after {:.1} s", row.what, took.as_secs_f64())),
            Agreed::Never => Some(format!("{}: never within {} s", row.what, WITHIN.as_secs())),
        };
        let told: Vec<_> = self.phases.iter().filter_map(told).collect();
        let kept = told.len() == 2 && self.phases.iter().all(|row| row.agreed != Agreed::Never);
        Verdict { kept, name: "agreement", told: format!("all nodes see the same members: {}", told.join(", ")) }
    }
}

fn many(count: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
pub(super) mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::{
        cluster::tally::{Asked, Way},
        load::Answer,
    };

    /// Requests for 10 products each, again and again, by three nodes of which the first owns what is asked for.
    fn tally(requests: usize, moved: usize) -> Arc<Tally> {
        let mut tally = Tally::default();
        for number in 0..requests {
            let (rank, node) = (number % 10, number % 3);
            let way = if node == 0 { Way::Local } else { Way::Remote };
            let latency = Duration::from_micros(500 + 250 * node as u64);
            let answer = Answer { status: 200, cache: way.as_str().to_owned(), retry_after: None, body: Vec::new() };
            tally.note(&Asked { rank, node, known: number >= 10, moved: number < moved, latency }, Ok(answer));
        }
        Arc::new(tally)
    }

    /// What a good run sees.
    pub(in super::super) fn good() -> Evidence {
        let loaded = |number: u64, distinct| Loaded { name: format!("node-{number}"), loads: distinct, distinct };
        let nodes = vec![loaded(1, 4), loaded(2, 3), loaded(3, 3)];
        let row = |what: &str, nodes, tally, loads, agreed| Row { what: what.to_owned(), nodes, tally, loads, agreed };
        let after = |millis| Agreed::After(Duration::from_millis(millis));
        Evidence {
            steady: Steady { tally: tally(1000, 0), nodes, distinct: 10, most: 1, changes: 0 },
            phases: vec![
                row("steady", 3, tally(1000, 0), 10, Agreed::Before),
                row("node-3 killed", 2, tally(1500, 2), 25, after(4210)),
                row("node-4 joined", 3, tally(1200, 0), 5, after(730)),
            ],
        }
    }

    fn changed(tally: &mut Arc<Tally>) -> &mut Tally {
        Arc::get_mut(tally).unwrap()
    }

    #[test]
    fn each_broken_promise_is_named() {
        assert!(good().verdicts().iter().all(|verdict| verdict.kept), "{:?}", good().verdicts());
        let cases: [(fn(&mut Evidence), &str); 11] = [
            (|seen| seen.steady.most = 2, "once each"),
            (|seen| seen.steady.nodes[1].loads += 1, "once each"),
            (|seen| seen.steady.distinct = 9, "once each"),
            (|seen| seen.steady.changes = 1, "once each"),
            (|seen| (seen.steady.nodes[2].distinct, seen.steady.distinct) = (0, 60), "shared"),
            (|seen| changed(&mut seen.steady.tally).nodes.values_mut().for_each(|node| node.remote.clear()), "shared"),
            (|seen| seen.steady.nodes.truncate(1), "shared"),
            (|seen| changed(&mut seen.phases[1].tally).errors = 1, "errors"),
            (|seen| seen.phases[2].tally = Arc::default(), "errors"),
            (|seen| seen.phases[2].agreed = Agreed::Never, "agreement"),
            (|seen| seen.phases.truncate(2), "agreement"),
        ];
        for (number, (break_it, name)) in cases.into_iter().enumerate() {
            let mut seen = good();
            break_it(&mut seen);
            let failed: Vec<_> = seen.verdicts().into_iter().filter(|it| !it.kept).map(|it| it.name).collect();
            assert!(failed.contains(&name), "case {number}: {failed:?}");
        }
        let mut few = good();
        few.steady.nodes[2].distinct = 0;
        assert!(few.shared().kept, "of ten products, one of three may own none");
        let mut idle = good();
        idle.steady.tally = Arc::default();
        assert!(!idle.once().kept, "nothing was asked for");
    }

    #[test]
    fn verdicts_are_told_in_words() {
        let mut seen = good();
        let told = seen.verdicts().map(|verdict| verdict.to_string());
        assert_eq!(
            told,
            [
                "  ok      once each  10 products asked for and 10 loads while nobody came or went: at most 1 load of \
                each; owners changed 0 times then",
                "  ok      shared     3 of 3 nodes own products; 660 hits by one hop to an owner",
                "  ok      errors     0 errors of 3,700 requests over all phases",
                "  ok      agreement  all nodes see the same members: node-3 killed after 4.2 s, node-4 joined after \
                0.7 s",
            ]
        );
        let tally = changed(&mut seen.phases[1].tally);
        tally.errors = 2;
        tally.first_error = Some(anyhow!("status 503"));
        assert!(seen.errors().to_string().starts_with("  FAILED  errors     2 errors of 3,700 requests"));
        assert!(seen.errors().to_string().ends_with("; the first: status 503"));
        seen.phases[1].agreed = Agreed::Never;
        assert!(seen.agreed().to_string().contains("node-3 killed: never within 20 s"));
    }
}
