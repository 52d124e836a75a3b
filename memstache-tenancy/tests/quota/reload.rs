//! Plans that change while a service runs.

use memstache_core::{ErrorKind, LoadContext};
use memstache_tenancy::{KnownTenants as _, Plan, Plans};

use crate::kit::{Kit, for_all, kind, millis, plan, secs, settle, tenant};

#[tokio::test]
async fn limits_change_for_everybody_at_once_and_what_was_taken_stays_taken() {
    let kit = Kit::new(for_all(plan().operations_per_second(1).burst(3)));
    let cache = kit.cache();
    let (one, two) = (cache.for_tenant(&tenant("one")), cache.for_tenant(&tenant("two")));
    for _ in 0..3 {
        one.get::<u32>("x").await.unwrap();
        two.get::<u32>("x").await.unwrap();
    }
    assert_eq!(kind(one.get::<u32>("x").await), ErrorKind::Overloaded);
    kit.tenants.reload(for_all(plan().operations_per_second(100).burst(5)));
    for handle in [&one, &two] {
        let error = handle.get::<u32>("x").await.unwrap_err();
        assert_eq!(error.retry_after(), Some(millis(10)), "nothing is given away, nobody waits by the old rate");
    }
    kit.clock.advance(millis(10));
    one.get::<u32>("x").await.unwrap();
    kit.tenants.reload(Plans::builder().build().unwrap());
    for _ in 0..100 {
        one.get::<u32>("x").await.unwrap();
    }
    assert_eq!(kit.tenants.usage(&tenant("one")).plan.unwrap().name(), "default");
}

#[tokio::test]
async fn who_is_given_another_plan_has_it_and_who_is_not_known_any_more_is_refused() {
    let build = |name: &str| Plan::builder(name).operations_per_second(1).build().unwrap();
    let plans =
        |of: &str| Plans::builder().plan(build("a")).plan(build("b")).default_plan("a").assign(&tenant("t"), of);
    let kit = Kit::new(plans("a").build().unwrap());
    let cache = kit.cache();
    let (t, u) = (cache.for_tenant(&tenant("t")), cache.for_tenant(&tenant("u")));
    let name = |of: &str| kit.tenants.usage(&tenant(of)).plan.map(|plan| plan.name().to_owned());
    t.set("x", &1).await.unwrap();
    u.set("x", &1).await.unwrap();
    assert_eq!((name("t").as_deref(), name("u").as_deref()), (Some("a"), Some("a")));
    kit.tenants.reload(plans("b").allow_unknown(false).build().unwrap());
    kit.clock.advance(secs(1));
    assert_eq!((name("t").as_deref(), name("u")), (Some("b"), None));
    assert_eq!(t.get::<u32>("x").await.unwrap(), Some(1));
    let error = u.get::<u32>("x").await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Invalid, "the tenant is not known"));
    assert!(kit.tenants.is_known(&tenant("t")) && !kit.tenants.is_known(&tenant("u")));
    assert_eq!((kit.tenants.unknown_calls(), kit.tenants.usage(&tenant("u")).entries), (1, 1));
    kit.tenants.reload(plans("b").build().unwrap());
    assert_eq!(u.get::<u32>("x").await.unwrap(), Some(1), "what it held is still its own");
}

#[tokio::test]
async fn loads_that_run_go_on_and_count_against_the_new_limit() {
    let kit = Kit::new(for_all(plan().loads(3)));
    let acme = kit.cache().for_tenant(&tenant("acme"));
    let held = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let load = |key: &'static str| {
        let (acme, held) = (acme.clone(), std::sync::Arc::clone(&held));
        tokio::spawn(async move {
            let loader = move |_: LoadContext<u32>| async move {
                held.acquire().await.unwrap().forget();
                Ok::<_, std::io::Error>(7)
            };
            acme.get_or_load(key, loader).await
        })
    };
    let running = [load("a"), load("b"), load("c")];
    settle().await;
    kit.tenants.reload(for_all(plan().loads(1)));
    assert_eq!(kit.tenants.usage(&tenant("acme")).loads_in_flight, 3);
    held.add_permits(2);
    settle().await;
    assert_eq!(kit.tenants.usage(&tenant("acme")).loads_in_flight, 1);
    assert_eq!(kind(load("d").await.unwrap()), ErrorKind::Overloaded);
    held.add_permits(1);
    for load in running {
        assert_eq!(load.await.unwrap().unwrap(), 7);
    }
    held.add_permits(1);
    assert_eq!(load("d").await.unwrap().unwrap(), 7);
}

#[tokio::test]
async fn who_holds_more_than_it_may_now_keeps_it_and_is_held_to_it_when_it_writes() {
    let over = memstache_tenancy::OverQuota::Refuse;
    let limited = |entries| for_all(plan().entries(entries).over_entries(over));
    let kit = Kit::new(limited(10));
    let acme = kit.cache().for_tenant(&tenant("acme"));
    for n in 0..10 {
        acme.set(format!("{n}"), &n).await.unwrap();
    }
    kit.tenants.reload(limited(5));
    assert_eq!(kit.tenants.usage(&tenant("acme")).entries, 10);
    assert_eq!(acme.get::<u32>("7").await.unwrap(), Some(7));
    assert_eq!(kind(acme.set("10", &10).await), ErrorKind::Overloaded);
    for n in 0..6 {
        assert!(acme.remove(format!("{n}")).await.unwrap());
    }
    acme.set("10", &10).await.unwrap();
    assert_eq!(kit.tenants.usage(&tenant("acme")).entries, 5);
}
