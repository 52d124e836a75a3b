use super::*;

const RETENTION: Retention = Retention {
    max_entry_ttl: Duration::from_secs(100),
    max_skew: Duration::from_secs(10),
    max_lag: Duration::from_secs(30),
};
/// What a version outlives its successor's activation by.
const SPAN: Millis = 150_000;

pub(super) fn version(id: u8, created_at: Millis, activate_at: Millis) -> Version {
    let wrapped = Bytes::from_static(b"wrapped");
    Version { number: 0, id: KeyId::from_bytes([id; 16]), created_at, activate_at, fate: Fate::Live, wrapped }
}

fn id(id: u8) -> KeyId {
    KeyId::from_bytes([id; 16])
}

fn line(versions: &[(u8, Millis)]) -> Line {
    let mut line = Line::default();
    for (id, activate_at) in versions {
        line.add(version(*id, *activate_at, *activate_at)).unwrap();
    }
    line
}

fn states(line: &Line, now: Millis) -> Vec<KeyState> {
    line.versions().iter().map(|version| line.state(version.id, now).unwrap()).collect()
}

#[test]
fn the_clock_alone_switches() {
    let line = line(&[(1, 0), (2, 1_000), (3, 2_000)]);
    use KeyState::{Active, DecryptOnly, PreActive};
    for (now, expected) in [
        (0, [Active, PreActive, PreActive]),
        (999, [Active, PreActive, PreActive]),
        (1_000, [DecryptOnly, Active, PreActive]),
        (2_000, [DecryptOnly, DecryptOnly, Active]),
        (u64::MAX, [DecryptOnly, DecryptOnly, Active]),
    ] {
        assert_eq!(states(&line, now), expected, "{now}");
    }
    assert_eq!(
        (line.next_switch(0), line.next_switch(1_000), line.next_switch(2_000)),
        (Some(1_000), Some(2_000), None)
    );
    assert_eq!(line.state(id(9), 0), None);
}

#[test]
fn a_first_version_serves_also_the_nodes_whose_clock_is_behind() {
    let line = line(&[(1, 5_000)]);
    assert_eq!(states(&line, 0), [KeyState::Active]);
}

#[test]
fn a_revoked_version_is_followed_by_the_next_and_never_by_an_earlier_one() {
    let mut line = line(&[(1, 0), (2, 1_000), (3, 2_000)]);
    assert!(line.revoke(id(2), 1_500));
    assert!(!line.revoke(id(2), 1_500), "once");
    use KeyState::{Active, DecryptOnly, Revoked};
    assert_eq!(states(&line, 1_500), [DecryptOnly, Revoked, Active], "the next stands in before its time");
    assert!(line.revoke(id(3), 1_600));
    assert_eq!(line.active(3_000), None);
    assert_eq!(states(&line, 3_000)[0], DecryptOnly);
}

#[test]
fn a_version_that_is_revoked_before_its_time_changes_nothing_for_the_active_one() {
    let mut line = line(&[(1, 0), (2, 1_000)]);
    assert!(line.revoke(id(2), 500));
    assert_eq!(states(&line, 5_000), [KeyState::Active, KeyState::Revoked]);
    assert_eq!(line.due(u64::MAX / 2, RETENTION), []);
    assert_eq!(line.next_switch(0), None);
}

#[test]
fn a_version_is_due_when_nothing_it_sealed_can_be_alive() {
    let line = line(&[(1, 0), (2, 1_000)]);
    assert_eq!(line.due(1_000 + SPAN - 1, RETENTION), []);
    assert_eq!(line.due(1_000 + SPAN, RETENTION), [id(1)]);
    assert_eq!(line.due(u64::MAX, RETENTION), [id(1)], "the active one never is");
}

#[test]
fn what_ended_has_no_key_any_more() {
    let mut line = line(&[(1, 0), (2, 1_000)]);
    assert!(line.retire(id(1), 2_000));
    assert!(line.get(id(1)).unwrap().wrapped.is_empty());
    assert_eq!(line.live().count(), 1);
    assert!(!line.revoke(id(1), 2_000), "it is gone already");
    assert_eq!(states(&line, 3_000)[0], KeyState::Retired);
}

#[test]
fn a_full_line_forgets_what_ended_first_and_is_full_if_nothing_did() {
    let mut line = Line::default();
    for at in 0..MAX_VERSIONS {
        let at = u8::try_from(at).unwrap();
        line.add(version(at, u64::from(at), u64::from(at))).unwrap();
    }
    let error = line.add(version(100, 100, 100)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(error.to_string(), "a key has at most 64 versions: retire the oldest first");
    assert!(line.retire(id(0), 200));
    line.add(version(100, 100, 100)).unwrap();
    assert_eq!(line.versions().len(), MAX_VERSIONS);
    assert_eq!((line.versions()[0].number, line.newest().unwrap().number), (2, 65), "numbers go on");
}

#[test]
fn activations_never_fall_and_contradictions_are_refused() {
    let mut good = line(&[(1, 1_000)]);
    good.add(version(2, 0, 10)).unwrap();
    assert_eq!(good.versions()[1].activate_at, 1_000);
    let versions = good.versions().to_vec();
    assert!(Line::from_versions(versions.clone()).is_some());
    let broken = |change: fn(&mut Vec<Version>)| {
        let mut versions = versions.clone();
        change(&mut versions);
        assert_eq!(Line::from_versions(versions), None);
    };
    broken(|versions| versions.swap(0, 1));
    broken(|versions| versions[1].number = 1);
    broken(|versions| versions[1].activate_at = 999);
    broken(|versions| versions[1].id = versions[0].id);
    broken(|versions| versions[0].wrapped = Bytes::new());
    broken(|versions| versions[0].fate = Fate::Retired(5));
}
