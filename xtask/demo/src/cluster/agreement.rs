//! When all nodes see the same members.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use tokio::time::sleep;

use super::{child::Child, setup::Report};

/// How long it may take: a node that was killed is missed within 3 s and given up 2 s later; the rest is for busy machines.
pub(super) const WITHIN: Duration = Duration::from_secs(20);

/// Between two looks.
const STEP: Duration = Duration::from_millis(20);

/// Waits until the nodes see each other and nobody else, and returns how long that took since `started`.
///
/// `None` if it takes too long.
pub(super) async fn agreed(nodes: &[Child], started: Instant) -> Result<Option<Duration>> {
    let mut names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    names.sort_unstable();
    loop {
        if all_see(&names, &reports(nodes).await?) {
            return Ok(Some(started.elapsed()));
        }
        if started.elapsed() > WITHIN {
            return Ok(None);
        }
        sleep(STEP).await;
    }
}

/// Keys that are asked for to see whether owners answer: enough for each of nine nodes to own some.
const PROBES: u32 = 64;

/// Waits until each node has answers from each owner: an owner answers once the others have agreed that it is one.
pub(super) async fn settled(nodes: &[Child]) -> Result<()> {
    let started = Instant::now();
    try_join_all(nodes.iter().map(|node| answered(node, started))).await.map(drop)
}

async fn answered(node: &Child, started: Instant) -> Result<()> {
    for number in 0..PROBES {
        while !node.probe(number).await? {
            if started.elapsed() > WITHIN {
                bail!("{} does not get answers from all owners", node.name);
            }
        }
    }
    Ok(())
}

/// Asks each node.
pub(super) async fn reports(nodes: &[Child]) -> Result<Vec<Report>> {
    let mut reports = Vec::with_capacity(nodes.len());
    for node in nodes {
        reports.push(node.report().await?);
    }
    Ok(reports)
}

fn all_see(names: &[&str], reports: &[Report]) -> bool {
    let same = |report: &Report| report.members == names && report.epoch == reports[0].epoch;
    reports.iter().all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_must_see_the_same() {
        let report = |members: &[&str], epoch| Report {
            name: "a".to_owned(),
            members: members.iter().map(|name| (*name).to_owned()).collect(),
            epoch,
            changes: 1,
            loads: 0,
        };
        let all = ["a", "b"];
        assert!(all_see(&all, &[report(&all, 7), report(&all, 7)]));
        assert!(!all_see(&all, &[report(&all, 7), report(&all, 8)]), "they disagree about owners");
        assert!(!all_see(&all, &[report(&all, 7), report(&["a", "b", "c"], 7)]), "one has not missed c yet");
        assert!(!all_see(&all, &[report(&["a"], 7), report(&all, 7)]));
    }
}
