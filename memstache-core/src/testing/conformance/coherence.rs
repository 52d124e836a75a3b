//! Near copies, and the stream of changes that drops them.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::task::unconstrained;

use super::{
    case::{Caller, Case, tagged, value},
    expect::{Outcome, broken, check, refused, stored},
};
use crate::{
    address::Address,
    coherence::{Invalidation, InvalidationStream},
    name::Tag,
    request::{Target, TouchKind, When},
};

super::rules![
    a_copy_goes_with_its_removal,
    a_copy_goes_with_an_overwrite,
    a_copy_goes_with_a_fill,
    a_copy_goes_with_its_tag,
    a_copy_goes_with_its_space,
    a_copy_goes_with_its_tenant,
    own_changes_are_seen_at_once,
    a_copy_keeps_the_lifetime_of_the_original,
    changes_are_told_in_order,
    a_new_lifetime_is_told,
    a_subscriber_that_falls_behind_gets_a_gap,
];

async fn a_copy_goes_with_its_removal(case: &Case<'_>) -> Outcome {
    let (a, b, key) = copied(case).await?;
    a.remove(&key).await?;
    b.get(&key).await?.miss()?;
    b.ask(&key).await?.leased()?;
    Ok(())
}

async fn a_copy_goes_with_an_overwrite(case: &Case<'_>) -> Outcome {
    let (a, b, key) = copied(case).await?;
    a.set(&key, value("2")).await?;
    b.get(&key).await?.hit("2")?;
    let version = b.get(&key).await?.hit("2")?.meta.version;
    stored(a.set_when(&key, value("3"), When::IfVersion(version)).await?)?;
    b.get(&key).await?.hit("3")?;
    Ok(())
}

async fn a_copy_goes_with_a_fill(case: &Case<'_>) -> Outcome {
    let (a, b, key) = copied(case).await?;
    let version = b.get(&key).await?.hit("v")?.meta.version;
    let lease = a.ask_unless(&key, version).await?.leased()?;
    b.get(&key).await?.hit("v")?;
    stored(a.fill(&key, &lease, value("2")).await?)?;
    b.get(&key).await?.hit("2")?;
    Ok(())
}

async fn a_copy_goes_with_its_tag(case: &Case<'_>) -> Outcome {
    let (a, b, key) = copied(case).await?;
    a.invalidate_tag(&case.home()?, "blue").await?;
    b.get(&key).await?.hit("v")?;
    a.invalidate_tag(&case.home()?, "red").await?;
    b.get(&key).await?.miss()
}

async fn a_copy_goes_with_its_space(case: &Case<'_>) -> Outcome {
    let (a, b, key) = copied(case).await?;
    a.invalidate(Target::Space(case.home()?)).await?;
    b.get(&key).await?.miss()
}

async fn a_copy_goes_with_its_tenant(case: &Case<'_>) -> Outcome {
    let (a, b, key) = copied(case).await?;
    a.invalidate(Target::Tenant(case.tenant("acme")?)).await?;
    b.get(&key).await?.miss()
}

async fn own_changes_are_seen_at_once(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let (home, key) = (case.home()?, case.key("k")?);
    a.set(&key, tagged("1", &["red"])?).await?;
    a.get_at_once(&key, None).await?.hit("1")?;
    a.set(&key, tagged("2", &["red"])?).await?;
    a.get_at_once(&key, None).await?.hit("2")?;
    a.remove(&key).await?;
    a.get_at_once(&key, None).await?.miss()?;
    let targets =
        [Target::Tag(home.clone(), Tag::new("red")?), Target::Space(home), Target::Tenant(case.tenant("acme")?)];
    for target in targets {
        a.set(&key, tagged("3", &["red"])?).await?;
        a.get_at_once(&key, None).await?.hit("3")?;
        a.invalidate(target).await?;
        a.get_at_once(&key, None).await?.miss()?;
    }
    Ok(())
}

async fn a_copy_keeps_the_lifetime_of_the_original(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let (start, key) = (case.now(), case.key("k")?);
    a.set(&key, crate::entry::NewEntry::new("v", case.ttl(10)?)).await?;
    case.until(start, case.units(8)).await;
    b.get(&key).await?.hit("v")?;
    case.until(start, case.units(10)).await;
    b.get(&key).await?.miss()
}

/// Stores a tagged value and has it copied by two handles.
async fn copied<'a>(case: &'a Case<'a>) -> Outcome<(Caller<'a>, Caller<'a>, Address)> {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    a.set(&key, tagged("v", &["red"])?).await?;
    for _ in 0..2 {
        a.get(&key).await?.hit("v")?;
        b.get(&key).await?.hit("v")?;
    }
    Ok((a, b, key))
}

async fn changes_are_told_in_order(case: &Case<'_>) -> Outcome {
    let mut changes = case.subscribe()?;
    let a = case.caller().await;
    let (home, key, other) = (case.home()?, case.key("k")?, case.key("other")?);
    a.set(&key, value("1")).await?;
    check(names(&next(&mut changes).await?, &key), "a write was not told")?;
    let lease = a.ask(&other).await?.leased()?;
    stored(a.fill(&other, &lease, value("2")).await?)?;
    check(names(&next(&mut changes).await?, &other), "a fill was not told")?;
    refused(a.set_when(&key, value("3"), When::IfAbsent).await?)?;
    a.remove(&key).await?;
    check(names(&next(&mut changes).await?, &key), "a removal was not told")?;
    let tag = Tag::new("red")?;
    let sequence = a.invalidate(Target::Tag(home.clone(), tag.clone())).await?;
    check(next(&mut changes).await? == Invalidation::Tag(home.clone(), tag, sequence), "a tag was not told")?;
    let sequence = a.invalidate(Target::Space(home.clone())).await?;
    check(next(&mut changes).await? == Invalidation::Space(home, sequence), "a clear was not told")?;
    let tenant = case.tenant("acme")?;
    let sequence = a.invalidate(Target::Tenant(tenant.clone())).await?;
    check(next(&mut changes).await? == Invalidation::Tenant(tenant, sequence), "a tenant's clear was not told")
}

async fn a_new_lifetime_is_told(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    a.set(&key, value("v")).await?;
    let mut changes = case.subscribe()?;
    a.touch(&key, TouchKind::Live(case.ttl(5)?)).await?;
    check(names(&next(&mut changes).await?, &key), "a new lifetime was not told")
}

async fn a_subscriber_that_falls_behind_gets_a_gap(case: &Case<'_>) -> Outcome {
    let Some(capacity) = case.capabilities.stream_capacity else {
        return Err(super::expect::Failure::Skipped("the stream's capacity is unknown"));
    };
    let mut changes = case.subscribe()?;
    let a = case.caller().await;
    let key = case.key("k")?;
    for _ in 0..=capacity {
        a.remove(&key).await?;
    }
    let (mut told, mut gap) = (0, false);
    // Unconstrained: the runtime's budget of a task would look like the end of what is there.
    while let Some(change) = unconstrained(changes.next()).now_or_never() {
        let change = change.ok_or_else(|| broken("the stream ended"))?;
        gap |= change == Invalidation::Gap;
        told += 1;
    }
    check(gap, "changes were lost without a gap")?;
    check(told <= capacity + 1, "the stream holds more than it says")
}

/// Takes the next change, which was told before the call that made it returned.
async fn next(changes: &mut InvalidationStream) -> Outcome<Invalidation> {
    let bound = Duration::from_secs(2);
    let change = tokio::time::timeout(bound, changes.next()).await;
    change.map_err(|_| broken("a change was not told"))?.ok_or_else(|| broken("the stream ended"))
}

/// Returns whether a change is one of this entry.
fn names(change: &Invalidation, key: &Address) -> bool {
    match change {
        Invalidation::Address(address) => address == key,
        Invalidation::Stored(stored) => stored == key.stored(),
        _ => false,
    }
}
