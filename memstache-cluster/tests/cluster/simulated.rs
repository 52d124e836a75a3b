//! Three nodes on a network in memory that is cut and healed, in paused time.

use memstache_cluster::{
    ClusterConfig, Engine, KeySpace, Member, MemberState, membership::StaticMembership, net::SimNetwork,
};
use memstache_core::ErrorKind;

use crate::kit::*;

async fn three(network: &SimNetwork) -> (Vec<Engine>, Vec<Counting>) {
    let member = |n: u8| Member::at(([10, 0, 0, n + 1], 3320).into());
    let (mut engines, mut sources) = (Vec::new(), Vec::new());
    for n in 0..3 {
        let source = Counting::default();
        let others = (0..3).filter(|other| *other != n).map(|n| member(n).with_state(MemberState::Active));
        let cluster = ClusterConfig::new("test", member(n), StaticMembership::new(member(n), others))
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
