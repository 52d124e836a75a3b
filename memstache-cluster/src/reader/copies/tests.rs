use memstache_core::{Entry, KeyspaceName, Lifetime, NewEntry, Sequence, Space, Tag, Tags, TenantId, Version};

use super::*;

const OWNER: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);
const LIFE: Incarnation = Incarnation(7);
const LEASE: Duration = Duration::from_secs(1);

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

fn space(tenant: &str) -> Space {
    let tenant = (!tenant.is_empty()).then(|| TenantId::new(tenant).unwrap());
    Space::new(tenant.as_ref(), &KeyspaceName::new("k").unwrap())
}

fn address(name: &str) -> Address {
    Address::plain(&space("acme"), name).unwrap()
}

fn entry(len: usize, ttl: u64) -> Entry {
    let lifetime = Lifetime::new(Duration::from_millis(ttl)).unwrap();
    let tags = Tags::new([Tag::new("red").unwrap()]).unwrap();
    NewEntry::new(vec![7; len], lifetime).with_tags(tags).into_entry(at(0), Version(1), Sequence(0))
}

/// Copies of 64 KiB with some keys, asked for at zero under view 1.
fn copies(keys: &[(&str, NodeId)]) -> Copies {
    let copies = Copies::new(64 << 10);
    for (key, owner) in keys {
        let (ticket, _) = copies.ticket(&address(key), 1, at(0));
        assert!(copies.keep(&address(key), &Lookup::Hit(entry(10, 60_000)), LEASE, *owner, ticket, at(5)));
    }
    copies
}

fn has(copies: &Copies, key: &str) -> bool {
    copies.find(&address(key), 1, at(10)).is_some()
}

#[test]
fn a_copy_is_good_until_its_lease_its_life_or_its_view_ends() {
    let copies = copies(&[("a", OWNER)]);
    assert!(copies.find(&address("a"), 1, at(999)).is_some());
    assert!(copies.find(&address("a"), 1, at(1000)).is_none(), "counted from when it was asked for");
    assert!(copies.find(&address("a"), 2, at(10)).is_none(), "another view");
    assert!(copies.find(&address("b"), 1, at(10)).is_none());
    let (ticket, reads) = copies.ticket(&address("a"), 1, at(1000));
    assert_eq!((reads, copies.held(at(1000))), (1, (0, 0)), "what copies answered is told once they have ended");
    assert!(copies.keep(&address("a"), &Lookup::Hit(entry(10, 1200)), LEASE, OWNER, ticket, at(1001)));
    assert!(copies.find(&address("a"), 1, at(1199)).is_some() && copies.find(&address("a"), 1, at(1200)).is_none());
    let negative = Lookup::Negative(entry(0, 60_000).meta);
    let (ticket, _) = copies.ticket(&address("b"), 1, at(1200));
    assert!(copies.keep(&address("b"), &negative, LEASE, OWNER, ticket, at(1200)));
    assert!(matches!(copies.find(&address("b"), 1, at(1201)), Some(Lookup::Negative(_))));
    assert!(!copies.keep(&address("b"), &Lookup::Miss, LEASE, OWNER, ticket, at(1200)));
    assert!(!copies.keep(&address("b"), &negative, LEASE, OWNER, ticket, at(2200)), "it came too late");
    let (ticket, _) = copies.ticket(&address("c"), 1, at(0));
    copies.keep(&address("c"), &negative, Duration::MAX, OWNER, ticket, at(1));
    assert!(copies.find(&address("c"), 1, at(1000)).is_none(), "no lease is longer than the longest");
}

#[test]
fn what_changed_since_it_was_asked_for_is_not_kept() {
    let hit = Lookup::Hit(entry(10, 60_000));
    let overtakes: [&dyn Fn(&Copies); 3] =
        [&|copies| copies.recall(OWNER, LIFE, 1, [&address("a")]), &|copies| copies.drop_from(OTHER), &|copies| {
            copies.hide(&[&Target::Space(space("other"))])
        }];
    for overtake in overtakes {
        let copies = Copies::new(64 << 10);
        let (ticket, _) = copies.ticket(&address("a"), 1, at(0));
        overtake(&copies);
        assert!(!copies.keep(&address("a"), &hit, LEASE, OWNER, ticket, at(1)));
        let (ticket, _) = copies.ticket(&address("a"), 1, at(1));
        assert!(copies.keep(&address("a"), &hit, LEASE, OWNER, ticket, at(1)));
    }
}

#[test]
fn an_owner_s_call_drops_what_it_names_and_a_missed_one_all_that_is_the_owner_s() {
    let keys = [("a", OWNER), ("b", OWNER), ("c", OTHER)];
    let all = |copies: &Copies| keys.map(|(key, _)| has(copies, key));
    let copies = copies(&keys);
    copies.recall(OTHER, LIFE, 5, []);
    assert_eq!(all(&copies), [true, true, false], "what came before the first that is known was missed");
    copies.recall(OWNER, LIFE, 1, [&address("a")]);
    assert_eq!(all(&copies), [false, false, false]);
    let keep = |key: &str| {
        let (ticket, _) = copies.ticket(&address(key), 1, at(0));
        assert!(copies.keep(&address(key), &Lookup::Hit(entry(10, 60_000)), LEASE, OWNER, ticket, at(1)));
    };
    ["a", "b"].into_iter().for_each(keep);
    copies.recall(OWNER, LIFE, 2, [&address("a")]);
    assert_eq!(all(&copies), [false, true, false]);
    copies.recall(OWNER, LIFE, 4, [&address("a")]);
    assert_eq!(all(&copies), [false, false, false], "the third was missed");
    ["a", "b"].into_iter().for_each(keep);
    copies.recall(OWNER, LIFE, 3, [&address("a")]);
    assert_eq!(all(&copies), [false, true, false], "it comes late");
    copies.recall(OWNER, LIFE, 5, []);
    assert_eq!(all(&copies), [false, true, false]);
    copies.recall(OWNER, Incarnation(8), 6, []);
    assert_eq!(all(&copies), [false, false, false], "another life");
    assert_eq!(copies.held(at(10)), (0, 0));
}

#[test]
fn an_invalidation_drops_what_it_may_hide() {
    let red = || Tag::new("red").unwrap();
    for (target, stays) in [
        (Target::Space(space("acme")), false),
        (Target::Space(space("")), true),
        (Target::Tag(space("acme"), red()), false),
        (Target::Tag(space("acme"), Tag::new("blue").unwrap()), true),
        (Target::Tag(space(""), red()), true),
        (Target::Tenant(TenantId::new("acme").unwrap()), false),
        (Target::Tenant(TenantId::new("ac").unwrap()), true),
    ] {
        let copies = copies(&[("a", OWNER)]);
        copies.hide(&[&target]);
        assert_eq!(has(&copies, "a"), stays, "{target:?}");
    }
}

#[test]
fn bytes_are_bounded_and_what_has_ended_makes_room() {
    let copies = Copies::new(64 << 10);
    let keep = |n: usize, len: usize, now: u64| {
        let key = address(&format!("{n}"));
        let (ticket, _) = copies.ticket(&key, 1, at(now));
        copies.keep(&key, &Lookup::Hit(entry(len, 600_000)), LEASE, OWNER, ticket, at(now))
    };
    assert!(!keep(0, 8 << 10, 1000), "it takes more than an eighth");
    let kept = (0..1000).filter(|n| keep(*n, 1000, 1000)).count();
    assert!((45..60).contains(&kept), "{kept}");
    assert!(copies.held(at(1000)).1 <= 64 << 10);
    let again = (1000..2000).filter(|n| keep(*n, 1000, 2000)).count();
    assert_eq!(again, kept);
    assert_eq!(copies.held(at(3000)), (0, 0));
    let (none, (ticket, _)) = (Copies::new(0), copies.ticket(&address("a"), 1, at(0)));
    assert!(!none.keep(&address("a"), &Lookup::Hit(entry(1, 9)), LEASE, OWNER, ticket, at(0)));
}
