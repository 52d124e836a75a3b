//! A list of members that does not change by itself.

use memstache_cluster::{
    Member, MemberState, Members,
    membership::{Membership, StaticMembership},
};

fn member(host: u8) -> Member {
    Member::at(([10, 0, 0, host], 3320).into())
}

fn active(host: u8) -> Member {
    member(host).with_state(MemberState::Active)
}

#[tokio::test]
async fn what_changes_is_told_and_nothing_else() {
    let membership = StaticMembership::new(member(1), [active(1), active(2), active(3)]);
    assert_eq!((membership.id(), membership.contact()), (member(1).id, None));
    membership.join().await.unwrap();
    let mut watch = membership.watch();
    assert_eq!(*watch.borrow_and_update(), Members::new([member(1), active(2), active(3)]));

    membership.set_state(MemberState::Joining);
    membership.mark(active(2).id, true);
    membership.mark(active(9).id, false);
    assert!(!watch.has_changed().unwrap());

    membership.mark(active(2).id, false);
    membership.set_state(MemberState::Active);
    assert_eq!(*watch.borrow_and_update(), Members::new([active(1), active(3)]));
    membership.set_others([active(2), active(3), active(4)]);
    assert_eq!(*watch.borrow_and_update(), Members::new([active(1), active(3), active(4)]), "2 is not reachable yet");
    membership.mark(active(2).id, true);
    membership.leave().await.unwrap();
    assert_eq!(membership.members(), Members::new([active(2), active(3), active(4)]));
}
