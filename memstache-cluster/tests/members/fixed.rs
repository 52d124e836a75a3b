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

#[tokio::test]
async fn who_was_silent_and_is_listed_anew_is_there() {
    let membership = StaticMembership::new(active(1), [active(2), active(3)]);
    membership.report(active(2).id, false);
    membership.mark(active(3).id, false);
    membership.report(active(3).id, true);
    assert_eq!(membership.members(), Members::new([active(1)]), "what is said by hand holds, whoever answers");
    membership.set_others([active(3)]);
    let again = active(2).with_revision(1);
    membership.set_others([again.clone(), active(3)]);
    assert_eq!(membership.members(), Members::new([active(1), again]), "the engine has nothing to say of it any more");
    membership.report(active(2).id, false);
    assert_eq!(membership.members().len(), 1);
    membership.mark(active(2).id, true);
    assert_eq!(membership.members().len(), 2);
    membership.report(active(9).id, false);
    membership.set_others([active(9)]);
    assert!(membership.members().contains(active(9).id), "what was said of one who was not listed is not kept");
}
