//! What a caller waits for while a node joins.

use std::time::Duration;

use memstache_core::{Clock as _, SystemClock};

use super::{Nodes, kit::*};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The longest read of many keys through a node, one after the other, until so much time has passed.
async fn longest_read(nodes: &Nodes, through: usize, span: Duration) -> Duration {
    let (clock, mut longest) = (SystemClock::new(), Duration::ZERO);
    let end = clock.now().after(span);
    for key in (0..256).cycle() {
        if clock.now() >= end {
            break;
        }
        let began = clock.now();
        read(&nodes.engines[through], &format!("k{key}")).await;
        longest = longest.max(clock.now().since(began));
    }
    longest
}

/// Nodes of which the last joins: the others hear of it one after the other, so long after each other.
async fn longest_while_one_joins(news: Duration, dead: Option<usize>) -> Duration {
    let nodes = Nodes::apart(4, SystemClock::new(), sourced, |builder| builder).await;
    nodes.hub.delay(millis(1));
    nodes.all_see(0..3).await;
    tokio::time::sleep(secs(11)).await;
    if let Some(dead) = dead {
        nodes.hub.kill(nodes.members[dead].id);
    }
    let join = async {
        nodes.sees(3, 0..4);
        for node in 0..3 {
            nodes.sees(node, 0..4);
            tokio::time::sleep(news).await;
        }
    };
    let (longest, ()) = tokio::join!(longest_read(&nodes, 0, secs(8)), join);
    longest
}

#[tokio::test(start_paused = true)]
async fn a_read_waits_until_all_have_heard_of_the_new_owner_and_not_longer() {
    let at_once = longest_while_one_joins(Duration::ZERO, None).await;
    assert!(at_once < millis(20), "{at_once:?}");
    let late = longest_while_one_joins(millis(200), None).await;
    assert!(late > millis(300) && late < millis(500), "the last hears after 400 ms: {late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_read_does_not_wait_for_who_does_not_answer_longer_than_a_lease() {
    let longest = longest_while_one_joins(Duration::ZERO, Some(2)).await;
    assert!(longest > millis(900) && longest < millis(1300), "{longest:?}");
}
