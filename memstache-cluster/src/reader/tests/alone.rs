//! A node that finds all others gone.

use super::{
    gone::{kept, nodes},
    kit::*,
};

#[tokio::test(start_paused = true)]
async fn of_three_it_may_be_the_one_that_was_left_out_and_answers_with_nothing_of_before() {
    let nodes = nodes(3, 2).await;
    let (copied, own) = (kept(&nodes, 0, 2), kept(&nodes, 2, 1));
    for key in [&copied, &own] {
        nodes.engines[0].put(KS, key, "old").await.unwrap();
    }
    nodes.hub.cut(nodes.members[0].id, nodes.members[2].id);
    nodes.hub.cut(nodes.members[1].id, nodes.members[2].id);
    nodes.sees(0, [0, 1]);
    nodes.sees(1, [0, 1]);
    nodes.settle([0, 1]).await;
    for key in [&copied, &own] {
        nodes.engines[0].put(KS, key, "new").await.unwrap();
    }
    // It heard of nothing, and takes the others for dead only now.
    nodes.sees(2, [2]);
    nodes.settle([2]).await;
    for key in [&copied, &own] {
        assert_eq!(read(&nodes.engines[2], key).await, None);
    }
    nodes.engines[2].put(KS, &own, "its own").await.unwrap();
    assert_eq!(read(&nodes.engines[2], &own).await.as_deref(), Some("its own"));
}

#[tokio::test(start_paused = true)]
async fn of_two_it_goes_on_with_what_it_holds() {
    let nodes = nodes(2, 2).await;
    let (copied, own) = (kept(&nodes, 0, 1), kept(&nodes, 1, 0));
    for key in [&copied, &own] {
        nodes.engines[0].put(KS, key, "kept").await.unwrap();
    }
    nodes.hub.cut(nodes.members[0].id, nodes.members[1].id);
    tokio::time::sleep(secs(5)).await;
    nodes.sees(1, [1]);
    nodes.settle([1]).await;
    for key in [&copied, &own] {
        assert_eq!(read(&nodes.engines[1], key).await.as_deref(), Some("kept"));
    }
}
