//! What goes wrong, drawn from the seed.

use std::{net::IpAddr, sync::Arc, time::Duration};

use memstache_cluster::{Member, MemberState};
use tokio::{task::JoinSet, time::sleep};

use crate::world::{World, millis};

/// Most nodes that there are at once.
const MOST_NODES: u8 = 5;
/// How much later than the first the last node hears of a change.
const LATEST_NEWS: u64 = 900;

/// How soon after it was heard of a node is declared dead.
const NOTICED: Duration = Duration::from_secs(3);

/// What kind of things go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// Everything is late.
    Delays,
    /// Links are cut one way and both ways, connections are reset and swallow what is sent.
    Links,
    /// Nodes join, leave, crash and start again, or are paused.
    Nodes,
    /// All of it at once.
    All,
    /// Nodes find one or all of the others silent, who notice nothing.
    Deaf,
}

impl Mix {
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let most = [Self::Delays, Self::Links, Self::Nodes, Self::All][rng.usize(..4)];
        if rng.u8(..5) > 0 { most } else { Self::Deaf }
    }

    pub(crate) const fn of_links(self) -> bool {
        matches!(self, Self::Links | Self::All)
    }

    /// Whether nodes that are there may find each other silent.
    pub(crate) const fn splits(self) -> bool {
        self.of_links() || matches!(self, Self::Deaf)
    }

    pub(crate) const fn of_nodes(self) -> bool {
        matches!(self, Self::Nodes | Self::All)
    }
}

/// Has things go wrong for so long; what it began has ended when it returns, but for cuts.
pub(crate) async fn go_wrong(world: Arc<World>, mix: Mix, mut rng: fastrand::Rng, span: Duration) {
    let end = world.now() + span;
    let slowest = rng.u64(1..60);
    world.network.set_delay(Duration::ZERO..=millis(slowest));
    while world.now() < end {
        sleep(millis(rng.u64(100..800))).await;
        match mix {
            Mix::Deaf => deafen(&world, &mut rng).await,
            _ if mix.of_nodes() && (!mix.of_links() || rng.u8(..4) == 0) => fail_nodes(&world, &mut rng).await,
            _ if mix.of_links() => fail_links(&world, &mut rng).await,
            _ => {}
        }
    }
}

async fn fail_links(world: &World, rng: &mut fastrand::Rng) {
    let (a, b) = two(world, rng);
    let lasts = millis(rng.u64(50..2500));
    match rng.u8(..5) {
        0 => world.network.cut(a, b),
        1 => world.network.cut_both(a, b),
        2 => world.network.black_hole(a, b),
        3 => world.network.reset(a, b),
        _ => world.network.isolate(a),
    }
    sleep(lasts).await;
    if rng.u8(..4) > 0 {
        world.network.heal_all();
    }
}

fn two(world: &World, rng: &mut fastrand::Rng) -> (IpAddr, IpAddr) {
    let mut ips: Vec<IpAddr> = world.nodes().iter().map(|node| node.ip()).collect();
    rng.shuffle(&mut ips);
    (ips[0], ips[1])
}

async fn fail_nodes(world: &Arc<World>, rng: &mut fastrand::Rng) {
    let nodes = world.nodes();
    let places: Vec<u8> = nodes.iter().map(|node| place(&node.member)).collect();
    let free: Vec<u8> = (0..MOST_NODES).filter(|place| !places.contains(place)).collect();
    let victim = &nodes[rng.usize(..nodes.len())];
    match rng.u8(..4) {
        0 if !free.is_empty() => join(world, free[rng.usize(..free.len())], rng).await,
        1 if nodes.len() > 2 => {
            let left = world.retire(victim.member.id).unwrap();
            let going = left.member.clone().with_state(MemberState::Draining);
            let told: Vec<Member> = world.members().into_iter().chain([going]).collect();
            let stop = left.engine.stop();
            // It may not get everything over in time; that is an error, and no problem.
            let (_, ()) = tokio::join!(stop, announce(world, told, rng.fork()));
            announce(world, world.members(), rng.fork()).await;
        }
        2 if nodes.len() > 2 => {
            world.crash(victim.member.id);
            // Until somebody notices.
            sleep(millis(rng.u64(500..3000))).await;
            announce(world, world.members(), rng.fork()).await;
            if rng.bool() {
                join(world, place(&victim.member), rng).await;
            }
        }
        3 if nodes.len() > 2 => {
            let paused = world.pause(victim.member.id).unwrap();
            // Nobody is declared dead sooner after it was heard of.
            sleep(NOTICED + millis(rng.u64(..1000))).await;
            if rng.u8(..4) > 0 {
                announce(world, world.members(), rng.fork()).await;
                // What it owned is others', and they write it.
                sleep(millis(rng.u64(1500..4000))).await;
            }
            world.resume(paused);
            // It does not hear that it was gone: when it looks, it is there again.
            sleep(millis(rng.u64(..1000))).await;
            announce(world, world.members(), rng.fork()).await;
        }
        _ => {}
    }
    sleep(millis(rng.u64(0..3000))).await;
}

/// Has a node find all others silent for a while, or one of them. It can be reached.
async fn deafen(world: &World, rng: &mut fastrand::Rng) {
    let mut nodes = world.nodes();
    rng.shuffle(&mut nodes);
    let (deaf, others) = nodes.split_first().unwrap();
    let silent = if rng.bool() { others } else { &others[..1] };
    deaf.hears(silent, false);
    sleep(millis(rng.u64(500..4000))).await;
    deaf.hears(silent, true);
    sleep(millis(rng.u64(0..2000))).await;
}

fn place(member: &Member) -> u8 {
    match member.address.ip() {
        IpAddr::V4(ip) => ip.octets()[3] - 1,
        IpAddr::V6(_) => unreachable!("all have addresses of version 4"),
    }
}

async fn join(world: &Arc<World>, place: u8, rng: &mut fastrand::Rng) {
    world.start(place, world.members()).await;
    announce(world, world.members(), rng.fork()).await;
}

/// Tells all nodes who is there, each at a moment of its own.
pub(crate) async fn announce(world: &Arc<World>, members: Vec<Member>, mut rng: fastrand::Rng) {
    let mut told = JoinSet::new();
    for node in world.nodes() {
        let (members, late) = (members.clone(), millis(rng.u64(..LATEST_NEWS)));
        told.spawn(async move {
            sleep(late).await;
            node.tell(&members);
        });
    }
    told.join_all().await;
}
