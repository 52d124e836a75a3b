//! Everything that a handle can be asked to do, done by one tenant with the keys of another.

use std::{
    io,
    time::{Duration, SystemTime},
};

use memstache_core::{
    BoxFuture, Cache, Consistency, Get, Invalidate, Json, Lifetime, LoadContext, Lookup, NewEntry, OnMiss, OneOrMany,
    Outcome, Reason, Scope, Set, Tag, Target, TenantId, Tenanted, Touch, TouchItem, TouchKind, When, Written,
};

use super::owned::{HOUR, Held, TAG};

/// Who tries.
#[derive(Clone, Debug)]
pub(crate) struct Intruder {
    pub(crate) tenants: Cache<Json, Tenanted>,
    /// A tenant without any values.
    pub(crate) tenant: TenantId,
    /// The names that are tried.
    pub(crate) names: [&'static str; 6],
    /// What it has got hold of, though it should not have.
    pub(crate) stolen: Held,
}

impl Intruder {
    fn cache(&self) -> Cache<Json> {
        self.tenants.for_tenant(&self.tenant)
    }
}

/// One operation of the API, or one way to ask for it; it asserts that it finds nothing.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// The kinds of requests that reach a store for it.
    pub(crate) kinds: &'static [&'static str],
    pub(crate) run: fn(Intruder) -> BoxFuture<'static, ()>,
}

macro_rules! cases {
    ($($name:ident [$($kind:ident),*] |$cache:pat_param, $who:pat_param| $run:expr;)*) => {
        /// All of them. A method that a handle gets has a line here.
        pub(crate) const CASES: &[Case] = &[$(Case {
            name: stringify!($name),
            kinds: &[$(stringify!($kind)),*],
            run: |who| Box::pin(async move {
                let ($cache, $who) = (who.cache(), who);
                $run
            }),
        }),*];
    };
}

fn own(value: u32) -> Result<u32, io::Error> {
    Ok(value)
}

cases! {
    get [get] |cache, who| for name in who.names {
        assert_eq!(cache.get::<u32>(name).await.unwrap(), None);
    };
    try_get [get] |cache, who| for name in who.names {
        assert_eq!(cache.try_get::<u32>(name).await, None);
    };
    get_entry [get] |cache, who| for name in who.names {
        let found = cache.get_entry::<u32>(name).await.unwrap();
        assert_eq!((found.value, found.outcome, found.version), (None, Outcome::Miss, None));
    };
    get_arc [get] |cache, who| for name in who.names {
        assert_eq!(cache.get_arc::<u32>(name).await.unwrap(), None);
    };
    get_many [get] |cache, who| {
        let found = cache.get_many::<u32>(who.names).await.unwrap();
        assert!(found.len() == 6 && found.iter().all(|found| matches!(found, Ok(None))));
    };
    get_many_arc [get] |cache, who| {
        let found = cache.get_many_arc::<u32>(who.names).await.unwrap();
        assert!(found.len() == 6 && found.iter().all(|found| matches!(found, Ok(None))));
    };
    read_of_the_authority [get] |cache, who| for name in who.names {
        assert_eq!(cache.read().authority().get::<u32>(name).await.unwrap(), None);
    };
    read_of_stale_values [get] |cache, who| for name in who.names {
        assert_eq!(cache.read().allow_stale().get::<u32>(name).await.unwrap(), None);
        assert_eq!(cache.read().max_staleness(HOUR).get::<u32>(name).await.unwrap(), None);
    };
    exists [touch] |cache, who| for name in who.names {
        assert!(!cache.exists(name).await.unwrap());
    };
    explain [explain] |cache, who| for name in who.names {
        let told = cache.explain(name).await.unwrap();
        assert_eq!(told.outcome, Some(Outcome::Miss));
        let nothing = |reason| matches!(reason, Some(Reason::NeverStored | Reason::NotHeld));
        for tier in told.tiers {
            assert!(nothing(tier.reason) && tier.entry.is_none() && !tier.loading, "{tier:?}");
        }
    };
    get_or_load [get, set] |cache, who| for name in who.names {
        let load = cache.get_or_load(name, |load| async move {
            assert_eq!(load.stale(), None::<&u32>, "what another tenant has is not refreshed");
            own(7)
        });
        assert_eq!(load.ttl(HOUR).await.unwrap(), 7);
        assert_eq!(cache.get::<u32>(name).await.unwrap(), Some(7));
    };
    get_or_load_with_all_options [get, set] |cache, who| for name in who.names {
        let load = cache.get_or_load(name, |_| async { own(7) }).soft_timeout(Duration::from_secs(1)).stale_for(HOUR);
        let load = load.hard_timeout(HOUR).keep_loading(true).refresh_ahead(0.5).early_refresh(2.0).tags([TAG]);
        let found = load.max_staleness(HOUR).authority().entry().await.unwrap();
        assert_eq!((found.value, found.outcome), (Some(7), Outcome::Miss));
    };
    get_or_load_shared [get, set] |cache, who| for name in who.names {
        assert_eq!(*cache.get_or_load(name, |_| async { own(7) }).arc().await.unwrap(), 7);
    };
    get_or_set [get, set] |cache, who| for name in who.names {
        assert_eq!(cache.get_or_set(name, |_| async { own(7) }).await.unwrap(), 7);
    };
    get_or_load_of_nothing [get, set] |cache, who| for name in who.names {
        let load = cache.get_or_load(name, |_: LoadContext<u32>| async { Ok::<_, io::Error>(None::<u32>) }).negative_ttl(HOUR);
        assert_eq!(load.optional().await.unwrap(), None);
        assert_eq!(cache.get_entry::<u32>(name).await.unwrap().outcome, Outcome::Negative, "its own");
    };
    get_or_load_that_fails [get] |cache, who| for name in who.names {
        let load = cache.get_or_load(name, |_| async { Err::<u32, _>(io::Error::other("no source")) });
        let error = load.await.expect_err("nobody's stale value stands in");
        assert_eq!(error.kind(), memstache_core::ErrorKind::Load);
    };
    get_many_or_load [get, set] |cache, who| {
        let all = who.names;
        let load = cache.get_many_or_load(all, move |missing: Vec<&'static str>| async move {
            assert_eq!(missing, all, "all are missing");
            Ok::<_, io::Error>(missing.into_iter().map(|name| (name, 7)).collect::<Vec<_>>())
        });
        let found: Vec<Option<u32>> = load.await.unwrap().into_iter().map(Result::unwrap).collect();
        assert_eq!(found, [Some(7); 6]);
    };
    set [set] |cache, who| for name in who.names {
        assert!(matches!(cache.set(name, &9).await.unwrap(), Written::Stored(_)));
        assert_eq!(cache.get::<u32>(name).await.unwrap(), Some(9));
    };
    set_with_all_options [set] |cache, who| for name in who.names {
        let set = cache.set(name, &9).ttl(HOUR / 60).sliding(HOUR / 120).stale_for(HOUR).jitter(0.1).tags([TAG]);
        assert!(matches!(set.compress(true).timeout(HOUR).await.unwrap(), Written::Stored(_)));
        let until = SystemTime::UNIX_EPOCH;
        drop(cache.set(name, &9).expires_at(until).await);
        // An error where nothing seals.
        drop(cache.set(name, &9).encrypt(true).await);
    };
    set_if_absent [set] |cache, who| for name in who.names {
        assert!(matches!(cache.set(name, &9).if_absent().await.unwrap(), Written::Stored(_)));
    };
    set_if_present [set] |cache, who| for name in who.names {
        assert_eq!(cache.set(name, &9).if_present().await.unwrap(), Written::Refused);
    };
    set_if_version [set] |cache, who| for name in who.names {
        assert_eq!(cache.set(name, &9).if_version(who.stolen.version).await.unwrap(), Written::Refused);
    };
    set_many [set] |cache, who| {
        let written = cache.set_many(who.names.map(|name| (name, &9))).ttl(HOUR).await.unwrap();
        assert!(written.iter().all(|written| matches!(written, Ok(Written::Stored(_)))));
    };
    remove [remove] |cache, who| for name in who.names {
        assert!(!cache.remove(name).await.unwrap());
    };
    remove_many [remove] |cache, who| {
        let removed = cache.remove_many(who.names).await.unwrap();
        assert!(removed.len() == 6 && removed.iter().all(|removed| matches!(removed, Ok(false))));
    };
    touch [touch] |cache, who| for name in who.names {
        assert!(!cache.touch(name).await.unwrap());
    };
    touch_ttl [touch] |cache, who| for name in who.names {
        assert!(!cache.touch_ttl(name, 2 * HOUR).await.unwrap());
        assert!(!cache.touch_ttl(name, HOUR / 7200).await.unwrap());
    };
    invalidate_tag [invalidate] |cache, _who| cache.invalidate_tag(TAG).await.unwrap();
    invalidate_tags [invalidate] |cache, who| {
        cache.invalidate_tags([TAG].into_iter().chain(who.names)).await.unwrap();
    };
    clear [invalidate] |cache, _who| cache.clear().await.unwrap();
    clear_tenant [invalidate] |_cache, who| who.tenants.clear_tenant(&who.tenant).await.unwrap();
    clear_tenant_of_its_own [invalidate] |cache, _who| cache.clear_tenant().await.unwrap();
    clear_of_the_shared_space [invalidate] |_cache, who| who.tenants.shared().clear().await.unwrap();
    the_shared_space [get, set, remove] |_cache, who| {
        let shared = who.tenants.shared();
        for name in who.names {
            assert_eq!(shared.get::<u32>(name).await.unwrap(), None);
            assert!(matches!(shared.set(name, &9).await.unwrap(), Written::Stored(_)));
            assert!(shared.remove(name).await.unwrap());
        }
    };
    counts_and_health [] |cache, who| {
        let told = format!("{:?} {:?} {} {cache:?}", cache.stats(), cache.health(), cache.loads_in_flight());
        assert!(who.names.iter().all(|name| !told.contains(name)), "{told}");
    };
    run_get_with_a_lease [get, touch] |cache, who| for name in who.names {
        for on_miss in [OnMiss::Lease, OnMiss::Wait] {
            let address = cache.address(name).unwrap();
            let get = Get { items: OneOrMany::One(address.clone().into()), on_miss, scope: Scope::default() };
            let found = cache.run(get).await.unwrap().into_one().unwrap().unwrap();
            let Lookup::Leased(lease) = found else { panic!("nobody else loads it, but {found:?}") };
            let release = Touch::one(address, TouchKind::Release(lease.id));
            assert!(cache.run(release).await.unwrap().into_one().unwrap().unwrap());
        }
    };
    run_get_of_the_nearest [] |cache, who| for name in who.names {
        let mut get = Get::one(cache.address(name).unwrap());
        get.scope.consistency = Consistency::Nearest;
        let found = cache.run(get).await.unwrap().into_one().unwrap().unwrap();
        assert!(matches!(found, Lookup::Miss), "{found:?}");
    };
    run_set_under_a_lease [set] |cache, who| for name in who.names {
        let mut set = Set::one(cache.address(name).unwrap(), NewEntry::new("9", Lifetime::UNLIMITED));
        set.items.as_mut_slice()[0].when = When::IfLease(who.stolen.lease);
        assert_eq!(cache.run(set).await.unwrap().into_one().unwrap().unwrap(), Written::Refused);
    };
    run_touch_in_all_ways [touch] |cache, who| {
        let lease = who.stolen.lease;
        let live = TouchKind::Live(Lifetime::new(HOUR / 7200).unwrap());
        for kind in [TouchKind::Probe, TouchKind::Slide, live, TouchKind::Renew(lease), TouchKind::Release(lease)] {
            let item = |name: &&str| TouchItem { address: cache.address(name).unwrap(), kind };
            let items = OneOrMany::Many(who.names.iter().map(item).collect());
            let touched = cache.run(Touch { items, scope: Scope::default() }).await.unwrap();
            assert!(touched.iter().all(|touched| matches!(touched, Ok(false))), "{kind:?}: {touched:?}");
        }
    };
    run_invalidate [invalidate] |cache, who| {
        let (space, tag) = (cache.space().clone(), Tag::new(TAG).unwrap());
        let targets = vec![Target::Tag(space.clone(), tag), Target::Space(space), Target::Tenant(who.tenant.clone())];
        let op = Invalidate { items: OneOrMany::Many(targets), scope: Scope::default() };
        assert!(cache.run(op).await.unwrap().iter().all(Result::is_ok));
    };
}
