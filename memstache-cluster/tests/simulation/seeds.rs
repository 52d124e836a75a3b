//! Which seeds are run, and where.

use std::{
    env,
    process::{Command, Stdio},
};

use memstache_cluster::Faults;
use memstache_core::{Clock as _, SystemClock};

use crate::{faults::Mix, run::run};

const DEFAULT_SEEDS: usize = 50;
const AT_ONCE: usize = 2;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

fn holds(seed: u64, mix: Mix) {
    let end = run(seed, mix, Faults::None);
    assert!(end.problems.is_empty(), "SIMULATION_SEED={seed} ({mix:?}): {:#?}", end.problems);
    assert!(end.reads > 50 && end.writes > 50, "SIMULATION_SEED={seed}: nothing to judge: {end:?}");
    println!(
        "seed {seed}: {mix:?}, {} writes ({} within splits), {} reads that found something, healed in {:?}: run {:016x}",
        end.writes, end.by_split, end.reads, end.healed, end.digest
    );
}

#[test]
fn one_seed() {
    let seed = number("SIMULATION_SEED").unwrap_or(1);
    holds(seed, Mix::of(seed));
}

#[test]
fn fresh_seeds_hold() {
    if number("SIMULATION_SEED").is_some() {
        return one_seed();
    }
    let seeds: Vec<u64> = {
        let count = number("SIMULATION_SEEDS").map_or(DEFAULT_SEEDS, |count| usize::try_from(count).unwrap());
        let mut rng = fastrand::Rng::new();
        (0..count).map(|_| rng.u64(..1 << 32)).collect()
    };
    let clock = SystemClock::new();
    let began = clock.now();
    let (mut failed, mut said_by_failed) = (Vec::new(), String::new());
    for seeds in seeds.chunks(AT_ONCE) {
        let child = |seed: &u64| {
            let mut child = Command::new(env::current_exe().unwrap());
            child.args(["seeds::one_seed", "--exact", "--nocapture"]).env("SIMULATION_SEED", seed.to_string());
            child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children: Vec<_> = seeds.iter().map(|seed| (*seed, child(seed))).collect();
        for (seed, child) in children {
            let end = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&end.stdout).into_owned();
            // A filter that matches nothing is no success.
            if !end.status.success() || !said.contains(&format!("seed {seed}: ")) {
                said_by_failed += &format!("SIMULATION_SEED={seed}\n{said}{}\n", String::from_utf8_lossy(&end.stderr));
                failed.push(seed);
            }
        }
    }
    println!("{} seeds in {} ms", seeds.len(), clock.now().since(began).as_millis());
    // Last: whoever sees the end of a log only sees which they are.
    assert!(
        failed.is_empty(),
        "{said_by_failed}{} of {} seeds failed: SIMULATION_SEED={failed:?}",
        failed.len(),
        seeds.len()
    );
}
