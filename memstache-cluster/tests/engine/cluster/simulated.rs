//! Three nodes on a network in memory that is cut and healed, in paused time.

use memstache_cluster::{
    ClusterConfig, Engine, EngineEvent, Events, KeySpace, Member, MemberState, membership::StaticMembership,
    net::SimNetwork,
};
use memstache_core::{ErrorKind, resilience::BreakerState};

use crate::kit::*;

async fn three(network: &SimNetwork) -> (Vec<Engine>, Vec<Counting>) {
    three_by(network, StaticMembership::without_liveness).await
}

async fn three_by(
    network: &SimNetwork,
    change: impl Fn(StaticMembership) -> StaticMembership,
) -> (Vec<Engine>, Vec<Counting>) {
    let member = |n: u8| Member::at(([10, 0, 0, n + 1], 3320).into());
    let (mut engines, mut sources) = (Vec::new(), Vec::new());
    for n in 0..3 {
        let source = Counting::default();
        let others = (0..3).filter(|other| *other != n).map(|n| member(n).with_state(MemberState::Active));
        let cluster = ClusterConfig::new("test", member(n), change(StaticMembership::new(member(n), others)))
            .transport(network.host(member(n).address.ip()))
            .bind(member(n).address)
            .insecure();
        let engine = Engine::builder()
            .keyspace(sourced(&source).build().unwrap())
            .cluster(cluster)
            .shutdown_timeout(secs(2))
            .build()
            .unwrap();
        engine.start().await.unwrap();
        engines.push(engine);
        sources.push(source);
    }
    (engines, sources)
}

/// Returns what was told so far.
fn told(events: &mut Events) -> Vec<EngineEvent> {
    use futures_util::FutureExt as _;
    std::iter::from_fn(|| events.next().now_or_never().flatten()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_cut_costs_one_peer_timeout_once_and_then_nothing() {
    let network = SimNetwork::new(7);
    let (engines, sources) = three(&network).await;
    // Those that started first could not reach the last one, and rest before they try again.
    tokio::time::sleep(secs(3)).await;
    for n in 0..100 {
        for engine in &engines {
            assert!(read(engine, &format!("k{n}")).await.is_some());
        }
    }
    assert_eq!(sources.iter().map(Counting::total).sum::<u64>(), 100);
    let [a, b, c] = [1, 2, 3].map(|n| std::net::IpAddr::from([10, 0, 0, n]));
    let mut events = engines[0].events();
    network.cut_both(a, c);
    network.cut_both(b, c);
    let mut slowest = secs(0);
    let mut slow = 0;
    for n in 0..100 {
        let start = Stopwatch::start();
        assert!(read(&engines[0], &format!("k{n}")).await.is_some());
        slowest = slowest.max(start.elapsed());
        slow += usize::from(start.elapsed() > millis(100));
    }
    assert!(slowest < secs(5), "{slowest:?}");
    assert!(slow <= 6, "{slow} reads were slow: its breaker is open after five");
    let lost = (0..).map(|n| format!("x{n}")).take(50);
    let mut refused = 0;
    for key in lost {
        if let Err(error) = engines[0].put(KS, &key, "v").await {
            assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Unknown), "{error:?}");
            refused += 1;
        }
    }
    assert!(refused > 5 && refused < 40, "{refused}");
    network.heal_all();
    tokio::time::sleep(secs(3)).await;
    for n in 0..50 {
        engines[0].put(KS, format!("x{n}"), "again").await.unwrap();
        assert_eq!(read(&engines[2], &format!("x{n}")).await.as_deref(), Some("again"));
    }
    let breakers: Vec<BreakerState> = told(&mut events)
        .into_iter()
        .filter_map(|event| match event {
            EngineEvent::PeerBreaker { state, .. } => Some(state),
            _ => None,
        })
        .collect();
    assert_eq!((breakers.first(), breakers.last()), (Some(&BreakerState::Open), Some(&BreakerState::Closed)));
}

#[tokio::test(start_paused = true)]
async fn who_was_cut_off_hears_of_keyspaces_within_a_minute_and_who_starts_at_once() {
    let network = SimNetwork::new(8);
    let (engines, _) = three(&network).await;
    let has = |engine: &Engine, name: &str| engine.keyspaces().iter().any(|status| status.name().as_str() == name);
    let [a, b, c] = [1, 2, 3].map(|n| std::net::IpAddr::from([10, 0, 0, n]));
    network.cut_both(a, c);
    network.cut_both(b, c);
    let carts = KeySpace::builder("carts").build().unwrap();
    engines[0].create_keyspace(carts).await.unwrap();
    assert!(has(&engines[1], "carts") && !has(&engines[2], "carts"));
    network.heal_all();
    tokio::time::sleep(secs(60)).await;
    assert!(has(&engines[2], "carts"));
    let member = |n: u8| Member::at(([10, 0, 0, n + 1], 3320).into()).with_state(MemberState::Active);
    let cluster = ClusterConfig::new("test", member(3), StaticMembership::new(member(3), (0..3).map(member)))
        .transport(network.host(member(3).address.ip()))
        .bind(member(3).address)
        .insecure();
    let late = Engine::builder().cluster(cluster).shutdown_timeout(secs(2)).build().unwrap();
    late.start().await.unwrap();
    assert!(has(&late, "carts"), "before it serves");
    let undefined = late.keyspaces().into_iter().find(|status| status.name().as_str() == KS).unwrap();
    assert!(!undefined.is_defined(), "it was given no source");
}

#[tokio::test(start_paused = true)]
async fn a_listed_member_that_does_not_answer_is_gone_until_it_does() {
    let network = SimNetwork::new(9);
    let (engines, _) = three_by(&network, |membership| membership).await;
    let count = |engine: &Engine| engine.peers().len();
    tokio::time::sleep(secs(6)).await;
    assert_eq!(engines.iter().map(count).collect::<Vec<_>>(), [3, 3, 3]);
    let mut events = engines[0].events();
    let [a, b, c] = [1, 2, 3].map(|n| std::net::IpAddr::from([10, 0, 0, n]));
    network.cut_both(a, c);
    network.cut_both(b, c);
    tokio::time::sleep(secs(2)).await;
    assert_eq!(count(&engines[0]), 3, "not at once");
    tokio::time::sleep(secs(6)).await;
    assert_eq!(engines.iter().map(count).collect::<Vec<_>>(), [2, 2, 1]);
    for n in 0..20 {
        engines[0].put(KS, format!("k{n}"), "v").await.unwrap();
        assert_eq!(read(&engines[1], &format!("k{n}")).await.as_deref(), Some("v"));
    }
    network.heal_all();
    tokio::time::sleep(secs(10)).await;
    assert_eq!(engines.iter().map(count).collect::<Vec<_>>(), [3, 3, 3]);
    let told = told(&mut events);
    let left = |event: &&EngineEvent| matches!(event, EngineEvent::PeerLeft(member) if member.address.ip() == c);
    assert_eq!(told.iter().filter(left).count(), 1, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn how_the_members_are_is_told() {
    let network = SimNetwork::new(10);
    network.set_delay(millis(1)..=millis(3));
    let (engines, _) = three(&network).await;
    tokio::time::sleep(secs(3)).await;
    for n in 0..60 {
        assert!(read(&engines[0], &format!("k{n}")).await.is_some());
    }
    let peers = engines[0].peers();
    assert_eq!(peers.iter().filter(|peer| peer.is_self).count(), 1);
    assert_eq!(peers.iter().map(|peer| peer.partitions).sum::<usize>(), 16_384);
    assert!((peers.iter().map(|peer| peer.share).sum::<f64>() - 1.0).abs() < 1e-9);
    for peer in peers.iter().filter(|peer| !peer.is_self) {
        assert!(peer.connected && peer.calls > 0 && peer.consecutive_failures == 0, "{peer:?}");
        assert_eq!((peer.breaker, peer.in_flight), (BreakerState::Closed, 0));
        assert!(peer.latency > millis(0) && peer.heard.is_some_and(|ago| ago < secs(60)), "{peer:?}");
    }
    assert!(engines[0].connections().is_some_and(|seen| seen.accepted >= 2 && seen.bad_frames == 0));
    engines[0].stop().await.unwrap();
    assert!(engines[0].connections().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_calls_under_way_end_at_whomever_they_are() {
    let network = SimNetwork::new(8);
    network.set_delay(millis(1)..=millis(3));
    let (engines, sources) = three(&network).await;
    tokio::time::sleep(secs(4)).await;
    let asks: Vec<_> = (0..30)
        .map(|n| {
            let engine = engines[0].clone();
            tokio::spawn(async move { try_read(&engine, &format!("slow{n}")).await })
        })
        .collect();
    tokio::time::sleep(millis(20)).await;
    let asked = |node: usize| sources[node].total();
    assert!(asked(1) > 0 && asked(2) > 0, "some are at the others");
    let before = asked(0);
    engines[0].stop().await.unwrap();
    for (n, ask) in asks.into_iter().enumerate() {
        assert_eq!(ask.await.unwrap().unwrap().as_deref(), Some(&*format!("slow{n}#1")));
    }
    assert_eq!((asked(0), asked(0) + asked(1) + asked(2)), (before, 30), "nothing was asked for twice");
}
