//! One run: a steady phase, faults under load, and the end, by which all is well again.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use memstache_cluster::Faults;
use memstache_core::testing::{History, Stamp, WriteOutcome};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    faults::{Mix, go_wrong},
    load::{Writer, reader, tenant},
    world::{KEYS, NODES, PLAIN, SOURCED, WRITERS, World, millis},
};

const READERS: u64 = 4;
/// How long things go wrong.
const FAULTS: Duration = Duration::from_secs(6);
/// How long the nodes may take to agree afterwards.
const HEALED_WITHIN: Duration = Duration::from_secs(10);
/// Keys that are read through all nodes at once, to see whether each is loaded once.
const PROBES: u64 = 16;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) problems: Vec<String>,
    pub(crate) reads: usize,
    pub(crate) writes: usize,
    /// Writes that were acknowledged by nodes that left out others that were there.
    pub(crate) by_split: usize,
    /// How long the nodes took to agree.
    pub(crate) healed: Duration,
    /// What tells this run from others: all that was written and read, and when.
    pub(crate) digest: u64,
}

/// Runs one seed.
pub(crate) fn run(seed: u64, mix: Mix, faults: Faults) -> End {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(simulate(seed, mix, faults))
}

async fn simulate(seed: u64, mix: Mix, faults: Faults) -> End {
    let world = World::new(seed, mix, faults);
    let mut rng = fastrand::Rng::with_seed(seed);
    world.network.set_delay(Duration::ZERO..=millis(3));
    for place in 0..NODES {
        world.start(place, world.members()).await;
    }
    for node in world.nodes() {
        node.tell(&world.members());
    }
    tokio::time::sleep(Duration::from_secs(12)).await;
    if let Err(problem) = probe(&world, "steady").await {
        world.problem(format!("while nothing was wrong {problem}"));
    }

    let (over, mut load) = (watch::Sender::new(false), JoinSet::new());
    for number in 0..WRITERS {
        load.spawn(Writer::new(&world, number, rng.fork()).run(over.subscribe()));
    }
    for _ in 0..READERS {
        load.spawn(reader(Arc::clone(&world), rng.fork(), over.subscribe()));
    }
    go_wrong(Arc::clone(&world), mix, rng.fork(), FAULTS).await;

    world.network.heal_all();
    world.network.set_delay(Duration::ZERO..=millis(3));
    for node in world.nodes() {
        node.tell(&world.members());
    }
    let healed = converge(&world).await;
    over.send_replace(true);
    load.join_all().await;
    let by_split = world.heal();
    read_all(&world).await;

    let history: History = world.history.lock().unwrap().clone();
    let mut problems = std::mem::take(&mut *world.problems.lock().unwrap());
    problems.extend(history.violations().iter().map(ToString::to_string));
    let digest = xxhash_rust::xxh3::xxh3_64(format!("{history:?}").as_bytes());
    End { problems, reads: history.reads(), writes: history.writes(), by_split, healed, digest }
}

/// Reads new keys through all nodes at once: each is loaded once, if they agree on its owner.
async fn probe(world: &World, name: &str) -> Result<(), String> {
    let nodes = world.nodes();
    let keys: Vec<String> = (0..PROBES).map(|key| format!("{name}.{key}")).collect();
    for key in &keys {
        let stamp = Stamp::new("probe", key, 1, u32::MAX);
        world.truth.set("probe", key, Some(stamp.to_string()));
        world.history.lock().unwrap().stored(&stamp, world.now(), WriteOutcome::Acknowledged);
    }
    let reads = keys.iter().flat_map(|key| nodes.iter().map(move |node| world.read(node, SOURCED, "probe", key)));
    for answer in join_all(reads).await {
        if let Some(Err(error)) = answer {
            return Err(format!("a read failed: {error}"));
        }
    }
    match world.truth.loads(&format!("probe/{name}.")) {
        PROBES => Ok(()),
        loads => Err(format!("{PROBES} keys were loaded {loads} times")),
    }
}

/// Reads keys that nobody writes through all nodes: that there is nothing is said by owners alone. A probe does not show that all of
/// them can be reached: replicas answer it, too.
async fn ask_owners(world: &World, name: &str) -> Result<(), String> {
    let nodes = world.nodes();
    let keys: Vec<String> = (0..PROBES).map(|key| format!("{name}.{key}")).collect();
    let reads = keys.iter().flat_map(|key| nodes.iter().map(move |node| world.read(node, PLAIN, "probe", key)));
    match join_all(reads).await.into_iter().flatten().find_map(Result::err) {
        Some(error) => Err(format!("an owner did not answer: {error}")),
        None => Ok(()),
    }
}

/// Waits until the nodes agree, and each can reach the others.
async fn converge(world: &World) -> Duration {
    let began = world.now();
    for round in 0.. {
        let mut probed = probe(world, &format!("healed{round}")).await;
        if probed.is_ok() {
            probed = ask_owners(world, &format!("nobody{round}")).await;
        }
        let took = world.now() - began;
        match probed {
            Ok(()) => return took,
            Err(problem) if took > HEALED_WITHIN => {
                world.problem(format!("{took:?} after the faults {problem}"));
                return took;
            }
            Err(_) => tokio::time::sleep(millis(100)).await,
        }
    }
    unreachable!("it ends by time")
}

/// Reads everything through every node: all answer, and all the same.
async fn read_all(world: &World) {
    for writer in 0..WRITERS {
        for key in 0..KEYS {
            for (keyspace, key) in [(PLAIN, world.plain_key(writer, key)), (SOURCED, format!("s{key}"))] {
                let mut answers = Vec::new();
                for node in world.nodes() {
                    match world.read(&node, keyspace, &tenant(writer), &key).await {
                        Some(Ok(value)) => answers.push(value),
                        other => world.problem(format!("after the faults a read ended with {other:?}")),
                    }
                }
                if answers.windows(2).any(|two| two[0] != two[1]) {
                    world.problem(format!("after the faults nodes answer {answers:?}"));
                }
            }
        }
    }
}
