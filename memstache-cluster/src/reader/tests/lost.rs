//! Who was lost by one that it can reach, and sees others than that one does.

use std::sync::Arc;

use memstache_core::{
    Address, Clock as _, Get, KeyspaceName, Lifetime, Lookup, NewEntry, OnMiss, OneOrMany, Request, Response, Set,
    Space, SystemClock, Touch, TouchKind,
};

use super::{
    Nodes,
    gone::{kept, nodes},
    hub::{member, members},
    kit::*,
};
use crate::{
    Incarnation, KeySpace, MemberState, Put,
    owner::Served,
    placement::{Table, partition_of},
    reader::adopt,
    wire::{Answer, Call, CallContext, Handler as _, PeerInfo},
};

/// A node that asks for itself, past its own view.
struct Peer {
    id: usize,
    life: u64,
    sees_others: bool,
}

impl Peer {
    async fn ask(&self, nodes: &Nodes, to: usize, request: impl Into<Request>) -> Answer {
        let cluster = nodes.engines[to].node.cluster().unwrap();
        let epoch = cluster.view().epoch + u64::from(self.sees_others);
        let context = CallContext::until(cluster.clock.now().after(secs(1))).at_epoch(epoch);
        let info = PeerInfo { id: member(self.id).id, incarnation: Incarnation(self.life), protocol: 1, remote: None };
        let call = Call::Run { keyspace: KeyspaceName::new(KS).unwrap(), request: request.into() };
        Served(Arc::downgrade(&nodes.engines[to].node)).handle(&Arc::new(info), call, context).await
    }

    /// Whether its write of a key that node 0 owns is done.
    async fn writes(&self, nodes: &Nodes) -> bool {
        let address = address(&nodes.key_of(0, "k"));
        match self.ask(nodes, 0, Set::one(address, NewEntry::new("new", Lifetime::UNLIMITED))).await {
            Answer::Ran { .. } => true,
            Answer::WrongOwner { .. } => false,
            other => panic!("{other:?}"),
        }
    }
}

fn address(key: &str) -> Address {
    Address::plain(&Space::new(None, &KeyspaceName::new(KS).unwrap()), key).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_clear_is_not_acknowledged_of_which_one_was_told_that_lost_its_home_and_sees_others() {
    let nodes = Nodes::apart(4, SystemClock::new(), |_| KeySpace::builder(KS), |builder| builder).await;
    nodes.all_see(0..3).await;
    let home = nodes.home();
    let loses = (home + 1) % 3;
    for node in [loses, 3] {
        nodes.sees(node, [loses, 3]);
    }
    nodes.settle([loses, 3]).await;
    let table = Table::of(&members([loses, 3]));
    let is_its = |key: &String| {
        let owner = table.owner(partition_of(format!(":{KS}:{key}").as_bytes()));
        owner == Some(nodes.members[3].id)
    };
    let key = (0..).map(|n| format!("k{n}")).find(is_its).unwrap();
    nodes.engines[3].put(KS, &key, Put::new("old").tags(["red"])).await.unwrap();
    let error = nodes.engines[home].invalidate_tag(KS, "red").await.unwrap_err();
    assert!(error.may_have_effect(), "{error:?}");
    assert!(nodes.engines[home].flush(KS).await.is_err());
    assert_eq!(read(&nodes.engines[loses], &key).await.as_deref(), Some("old"), "it was told of nothing");
    // It is no lack of touch: the home and the third agree.
    let own = (0..).map(|n| format!("k{n}")).find(|key| nodes.owner_seen_by(home, key) == home).unwrap();
    nodes.engines[home].put(KS, &own, "new").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn while_somebody_is_lost_who_is_no_member_and_sees_others_changes_nothing() {
    let nodes = nodes(3, 1).await;
    let stranger = |sees_others| Peer { id: 9, life: 1, sees_others };
    let again = |sees_others| Peer { id: 2, life: 2, sees_others };
    let of_the_members = Peer { id: 1, life: 1, sees_others: true };
    assert!(stranger(true).writes(&nodes).await, "it has just joined, and will be heard of");
    [0, 1].iter().for_each(|node| nodes.sees(*node, [0, 1]));
    nodes.settle([0, 1]).await;
    assert!(!stranger(true).writes(&nodes).await, "it may have joined the one that was lost");
    assert!(!again(true).writes(&nodes).await, "it may see those that it saw before");
    assert!(stranger(false).writes(&nodes).await);
    assert!(again(false).writes(&nodes).await);
    assert!(of_the_members.writes(&nodes).await);
    nodes.all_see(0..3).await;
    assert!(stranger(true).writes(&nodes).await, "nobody is lost any more");
}

#[tokio::test(start_paused = true)]
async fn who_is_lost_is_granted_no_lease_and_may_give_one_back() {
    let nodes = nodes(3, 1).await;
    let lost = Peer { id: 2, life: 1, sees_others: true };
    let look = |key: &str, on_miss| Get { on_miss, ..Get::one(address(key)) };
    let looked = |answer: Answer| match answer {
        Answer::Ran { response: Response::Found(mut found), .. } => found.as_mut_slice()[0].clone().unwrap(),
        other => panic!("{other:?}"),
    };
    let key = nodes.key_of(0, "k");
    let Lookup::Leased(lease) = looked(lost.ask(&nodes, 0, look(&key, OnMiss::Lease)).await) else {
        panic!("no lease")
    };
    [0, 1].iter().for_each(|node| nodes.sees(*node, [0, 1]));
    nodes.settle([0, 1]).await;
    let other = nodes.key_of(0, "other");
    for on_miss in [OnMiss::Lease, OnMiss::Wait] {
        assert!(matches!(looked(lost.ask(&nodes, 0, look(&other, on_miss)).await), Lookup::Miss));
    }
    let renew = lost.ask(&nodes, 0, Touch::one(address(&key), TouchKind::Renew(lease.id))).await;
    assert!(matches!(renew, Answer::WrongOwner { .. }), "{renew:?}");
    let probe = lost.ask(&nodes, 0, Touch::one(address(&key), TouchKind::Probe)).await;
    assert!(matches!(probe, Answer::Ran { .. }), "{probe:?}");
    let release = lost.ask(&nodes, 0, Touch::one(address(&key), TouchKind::Release(lease.id))).await;
    let Answer::Ran { response: Response::Touched(stood), .. } = release else { panic!("{release:?}") };
    assert!(matches!(stood.as_slice(), [Ok(true)]));
}

#[tokio::test(start_paused = true)]
async fn a_late_write_of_many_keys_asks_for_all_at_once_and_again_as_long_as_there_is_time() {
    let keyspace = |_: &Counting| KeySpace::builder(KS).replicas(2);
    let nodes = Nodes::apart(3, SystemClock::new(), keyspace, |builder| builder).await;
    nodes.all_see(0..3).await;
    let keys: Vec<String> = (0..50).map(|n| nodes.key_of(0, &format!("k{n}."))).collect();
    let is_kept = |key: &String| {
        let view = nodes.engines[0].node.cluster().unwrap().view();
        view.table.ranked(partition_of(format!(":{KS}:{key}").as_bytes()), 2)[1] == nodes.members[2].id
    };
    assert!(keys.iter().filter(|key| is_kept(key)).count() > 5 && kept(&nodes, 0, 2).starts_with('k'));
    // Nobody is asked any more for what it held before.
    tokio::time::sleep(secs(11)).await;
    nodes.hub.cut(nodes.members[0].id, nodes.members[2].id);
    nodes.sees(0, [0, 1]);
    let asked = || nodes.hub.calls_between("take_over", nodes.members[0].id, nodes.members[1].id);
    let (engine, before) = (nodes.engines[0].clone(), asked());
    let items: Vec<_> = keys.iter().map(|key| (key.clone(), "new")).collect();
    let write = tokio::spawn(async move { engine.put_many(KS, items).await });
    nodes.hub.delay(millis(10));
    nodes.sees(1, [0, 1]);
    tokio::time::sleep(millis(50)).await;
    // Whoever was lost is back for node 1, before the lease of the late write ends.
    nodes.sees_back(1, [(0, 0), (1, 0), (2, 1)]);
    tokio::time::sleep(millis(2000)).await;
    assert!(!write.is_finished(), "nobody agrees that node 2 is gone");
    nodes.sees(1, [0, 1]);
    let written = write.await.unwrap().unwrap();
    assert!(written.iter().all(Result::is_ok), "{written:?}");
    let asked = asked() - before;
    assert!((5..60).contains(&asked), "{asked}: every 50 ms, whatever the number of keys");
}

#[tokio::test(start_paused = true)]
async fn who_gains_what_another_had_not_taken_over_yet_waits_out_whose_it_was() {
    let nodes = Nodes::apart(3, SystemClock::new(), |_| KeySpace::builder(KS), |builder| builder).await;
    nodes.all_see([1, 2]).await;
    let [then, now] = [[1, 2], [0, 1]].map(|all| Table::of(&members(all)));
    let key = (0..).map(|n| format!("k{n}")).find(|key| {
        let partition = partition_of(format!(":{KS}:{key}").as_bytes());
        [then.owner(partition), now.owner(partition)] == [2, 0].map(|node: usize| Some(nodes.members[node].id))
    });
    let key = key.unwrap();
    nodes.engines[2].put(KS, &key, "old").await.unwrap();
    // Nobody is asked any more for what it held before.
    tokio::time::sleep(secs(11)).await;
    [0, 1].iter().for_each(|other| nodes.hub.cut(nodes.members[*other].id, nodes.members[2].id));
    // Node 2 does not know that it is lost, and node 0 has never known it.
    nodes.sees(1, [1]);
    [0, 1].iter().for_each(|node| nodes.sees(*node, [0, 1]));
    nodes.engines[0].put(KS, &key, "new").await.unwrap();
    assert_ne!(try_read(&nodes.engines[2], &key).await.ok().flatten().as_deref(), Some("old"));
}

#[tokio::test(start_paused = true)]
async fn a_clear_waits_for_who_answers_already_though_its_home_has_not_heard_of_it() {
    let nodes = nodes(3, 1).await;
    let home = nodes.home();
    let starts = (home + 1) % 3;
    let state = |node| if node == starts { MemberState::Joining } else { MemberState::Active };
    adopt(&nodes.engines[home].node, (0..3).map(|node| member(node).with_state(state(node))).collect());
    let error = nodes.engines[home].invalidate_tag(KS, "red").await.unwrap_err();
    assert!(error.may_have_effect(), "{error:?}");
    nodes.all_see(0..3).await;
    nodes.engines[home].invalidate_tag(KS, "red").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_clear_is_acknowledged_while_one_drains_of_which_only_it_knows() {
    let nodes = nodes(3, 1).await;
    let home = nodes.home();
    let drains = (home + 1) % 3;
    let state = |node| if node == drains { MemberState::Draining } else { MemberState::Active };
    let seen = (0..3).map(|node| member(node).with_state(state(node))).collect();
    adopt(&nodes.engines[drains].node, seen);
    nodes.engines[home].invalidate_tag(KS, "red").await.unwrap();
    nodes.engines[home].flush(KS).await.unwrap();
    // Copies it has none to answer with: owners who know push no more to it.
    let cluster = nodes.engines[home].node.cluster().unwrap();
    let ask = Call::Copies { keyspace: KeyspaceName::new(KS).unwrap(), items: OneOrMany::One(address("k")) };
    let answer = cluster.call(&nodes.members[drains], ask, cluster.clock.now().after(secs(1))).await;
    assert!(matches!(answer, Ok(Answer::WrongOwner { .. })), "{answer:?}");
    // What it sees besides counts all the same.
    let more = (0..4).map(|node| member(node).with_state(state(node))).collect();
    adopt(&nodes.engines[drains].node, more);
    assert!(nodes.engines[home].invalidate_tag(KS, "red").await.is_err());
}
