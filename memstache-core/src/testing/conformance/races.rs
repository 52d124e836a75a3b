//! "A load starts, the key goes, the old value is stored": in every form.
//!
//! The late fill may be refused or, after an invalidation, be stored under its old sequence; whoever asks afterwards
//! neither sees what it brought nor is told to wait for it.

use super::{
    case::{Caller, Case, lasting, tagged, value},
    expect::{Outcome, Seen, broken, check, refused, stored},
};
use crate::{
    address::Address,
    name::Tag,
    request::{Get, Lease, Lookup, OnMiss, OneOrMany, Remove, Scope, Set, SetItem, Target, When, Written},
};

super::rules![
    removed_while_loading,
    removed_while_another_loads,
    written_while_loading,
    written_while_another_loads,
    tag_invalidated_while_loading,
    tag_invalidated_while_another_loads,
    space_cleared_while_loading,
    space_cleared_while_another_loads,
    tenant_cleared_while_loading,
    tenant_cleared_while_another_loads,
    removed_while_a_batch_loads,
    removed_while_waiting,
    removed_after_the_leader_vanished,
    removed_while_an_unreadable_value_is_reloaded,
    written_while_an_unreadable_value_is_reloaded,
    removed_while_a_stale_value_is_refreshed,
    tag_invalidated_while_a_stale_value_is_refreshed,
    removed_after_the_fill_and_filled_again,
];

/// What happens to a key while it is loaded.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Remove,
    Write,
    Tag,
    Space,
    Tenant,
}

async fn removed_while_loading(case: &Case<'_>) -> Outcome {
    cut_by_the_same(case, Cut::Remove).await
}

async fn removed_while_another_loads(case: &Case<'_>) -> Outcome {
    cut_by_another(case, Cut::Remove).await
}

async fn written_while_loading(case: &Case<'_>) -> Outcome {
    cut_by_the_same(case, Cut::Write).await
}

async fn written_while_another_loads(case: &Case<'_>) -> Outcome {
    cut_by_another(case, Cut::Write).await
}

async fn tag_invalidated_while_loading(case: &Case<'_>) -> Outcome {
    cut_by_the_same(case, Cut::Tag).await
}

async fn tag_invalidated_while_another_loads(case: &Case<'_>) -> Outcome {
    cut_by_another(case, Cut::Tag).await
}

async fn space_cleared_while_loading(case: &Case<'_>) -> Outcome {
    cut_by_the_same(case, Cut::Space).await
}

async fn space_cleared_while_another_loads(case: &Case<'_>) -> Outcome {
    cut_by_another(case, Cut::Space).await
}

async fn tenant_cleared_while_loading(case: &Case<'_>) -> Outcome {
    cut_by_the_same(case, Cut::Tenant).await
}

async fn tenant_cleared_while_another_loads(case: &Case<'_>) -> Outcome {
    cut_by_another(case, Cut::Tenant).await
}

async fn cut_by_the_same(case: &Case<'_>, cut: Cut) -> Outcome {
    let a = case.caller().await;
    late_fill_first(case, &a, &a, cut).await?;
    asked_before_the_late_fill(case, &a, &a, cut).await
}

async fn cut_by_another(case: &Case<'_>, cut: Cut) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    late_fill_first(case, &a, &b, cut).await?;
    asked_before_the_late_fill(case, &a, &b, cut).await
}

/// The late fill comes before anybody asked again.
async fn late_fill_first(case: &Case<'_>, loader: &Caller<'_>, other: &Caller<'_>, cut: Cut) -> Outcome {
    let key = case.key("first")?;
    let lease = loader.ask(&key).await?.leased()?;
    make(case, other, &key, cut).await?;
    let late = loader.fill(&key, &lease, old()?).await?;
    if matches!(cut, Cut::Remove | Cut::Write) {
        refused(late)?;
    }
    for caller in [loader, other, loader] {
        is_not_seen(&caller.get(&key).await?)?;
    }
    is_loaded_anew(&key, &lease, other, loader, cut).await
}

/// Somebody asks before the late fill comes: told neither to wait for it nor, afterwards, what it brought.
async fn asked_before_the_late_fill(case: &Case<'_>, loader: &Caller<'_>, other: &Caller<'_>, cut: Cut) -> Outcome {
    let key = case.key("asked")?;
    let old_lease = loader.ask(&key).await?.leased()?;
    make(case, other, &key, cut).await?;
    let asked = other.ask(&key).await?;
    is_not_to_be_joined(&asked, &old_lease)?;
    is_not_to_be_joined(&loader.ask(&key).await?, &old_lease)?;
    let late = loader.fill(&key, &old_lease, old()?).await?;
    // A tag leaves the lease, for the entry may not carry it; all others have ended or superseded it.
    if cut != Cut::Tag {
        refused(late)?;
    }
    is_not_seen(&loader.get(&key).await?)?;
    is_not_seen(&other.get(&key).await?)?;
    match asked.0 {
        Lookup::Leased(lease) => {
            stored(other.fill(&key, &lease, tagged("new", &["red"])?).await?)?;
            loader.get(&key).await?.hit("new")?;
        }
        _ => is_loaded_anew(&key, &old_lease, other, loader, cut).await?,
    }
    Ok(())
}

/// Checks that the key can be loaded again and that everybody then sees the new value.
async fn is_loaded_anew(key: &Address, old: &Lease, one: &Caller<'_>, other: &Caller<'_>, cut: Cut) -> Outcome {
    if cut != Cut::Write {
        let lease = one.ask(key).await?.leased()?;
        check(lease.id != old.id, "a lease was granted twice")?;
        stored(one.fill(key, &lease, tagged("new", &["red"])?).await?)?;
    }
    one.get(key).await?.hit("new")?;
    other.get(key).await?.hit("new")?;
    Ok(())
}

async fn make(case: &Case<'_>, caller: &Caller<'_>, key: &Address, cut: Cut) -> Outcome {
    let target = match cut {
        Cut::Remove => return caller.remove(key).await.map(drop),
        Cut::Write => return caller.set(key, tagged("new", &["red"])?).await.map(drop),
        Cut::Tag => Target::Tag(key.space(), Tag::new("red")?),
        Cut::Space => Target::Space(key.space()),
        Cut::Tenant => Target::Tenant(case.tenant("acme")?),
    };
    caller.invalidate(target).await.map(drop)
}

/// What the loader read before the key went.
fn old() -> Outcome<crate::entry::NewEntry> {
    Ok(tagged("old", &["red"])?)
}

#[track_caller]
fn is_not_seen(seen: &Seen) -> Outcome {
    check(!seen.shows("old"), "the old value is seen after it went")
}

#[track_caller]
fn is_not_to_be_joined(seen: &Seen, old: &Lease) -> Outcome {
    is_not_seen(seen)?;
    check(!seen.is_busy_with(old.id), "a later asker is told to wait for the load that began before")?;
    match &seen.0 {
        Lookup::Leased(lease) if lease.id == old.id => Err(broken("a lease was granted twice")),
        _ => Ok(()),
    }
}

async fn removed_while_a_batch_loads(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let keys = [case.key("0")?, case.key("1")?, case.key("2")?];
    let items = keys.iter().cloned().map(Into::into).collect();
    let found = a.read(Get { items: OneOrMany::Many(items), on_miss: OnMiss::Lease, scope: Scope::default() }).await?;
    let leases: Vec<Lease> = found.into_iter().map(|item| Seen(item?).leased()).collect::<Outcome<_>>()?;
    b.run(Remove { items: OneOrMany::Many(vec![keys[1].clone()]), scope: Scope::default() }).await?;
    let items = keys
        .iter()
        .zip(&leases)
        .map(|(key, lease)| Ok(SetItem { address: key.clone(), entry: old()?, when: When::IfLease(lease.id) }));
    let items = OneOrMany::Many(items.collect::<Outcome<_>>()?);
    let written = a.run(Set { items, scope: Scope::default() }).await?;
    let written: Vec<bool> = written.into_iter().map(|item| Ok(item? != Written::Refused)).collect::<Outcome<_>>()?;
    check(written == [true, false, true], &format!("expected T F T, found {written:?}"))?;
    for caller in [&a, &b] {
        caller.get(&keys[0]).await?.hit("old")?;
        caller.get(&keys[1]).await?.miss()?;
        caller.get(&keys[2]).await?.hit("old")?;
    }
    Ok(())
}

async fn removed_while_waiting(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    let waiter = b.wait(&key).await;
    a.remove(&key).await?;
    refused(a.fill(&key, &lease, old()?).await?)?;
    let after = b.wait(&key).await;
    let next = waiter.seen().await?.leased()?;
    check(after.is_waiting(), "two are loading")?;
    stored(b.fill(&key, &next, value("new")).await?)?;
    after.seen().await?.hit("new")?;
    Ok(())
}

async fn removed_after_the_leader_vanished(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    for removed in [false, true] {
        let (start, key) = (case.now(), case.key(format!("vanished {removed}"))?);
        // The leader is dropped with its lease; its fill was already on its way.
        let leader = a.wait(&key).await.seen().await?.leased()?;
        if removed {
            b.remove(&key).await?;
        } else {
            case.until(start, leader.ttl).await;
        }
        let next = b.wait(&key).await.seen().await?.leased()?;
        refused(a.fill(&key, &leader, old()?).await?)?;
        stored(b.fill(&key, &next, value("new")).await?)?;
        refused(a.fill(&key, &leader, old()?).await?)?;
        a.get(&key).await?.hit("new")?;
    }
    Ok(())
}

async fn removed_while_an_unreadable_value_is_reloaded(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let bad = a.set(&key, value("bad")).await?;
    let lease = a.ask_unless(&key, bad).await?.leased()?;
    b.remove(&key).await?;
    is_not_to_be_joined(&b.ask_unless(&key, bad).await?, &lease)?;
    refused(a.fill(&key, &lease, old()?).await?)?;
    a.get(&key).await?.miss()?;
    b.get(&key).await?.miss()
}

async fn written_while_an_unreadable_value_is_reloaded(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let bad = a.set(&key, value("bad")).await?;
    let lease = a.ask_unless(&key, bad).await?.leased()?;
    b.set(&key, value("new")).await?;
    b.ask_unless(&key, bad).await?.hit("new")?;
    refused(a.fill(&key, &lease, old()?).await?)?;
    a.get(&key).await?.hit("new")?;
    Ok(())
}

async fn removed_while_a_stale_value_is_refreshed(case: &Case<'_>) -> Outcome {
    stale_refresh_cut(case, Cut::Remove).await
}

async fn tag_invalidated_while_a_stale_value_is_refreshed(case: &Case<'_>) -> Outcome {
    stale_refresh_cut(case, Cut::Tag).await
}

async fn stale_refresh_cut(case: &Case<'_>, cut: Cut) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let (start, key) = (case.now(), case.key("k")?);
    let mut entry = lasting("old", case.ttl(5)?.with_stale_for(case.units(100))?);
    entry.tags = old()?.tags;
    a.set(&key, entry).await?;
    case.until(start, case.units(5)).await;
    let lease = a.ask(&key).await?.stale("old")?.ok_or_else(|| broken("nobody was to refresh a stale value"))?;
    make(case, &b, &key, cut).await?;
    is_not_to_be_joined(&b.ask(&key).await?, &lease)?;
    let late = a.fill(&key, &lease, old()?).await?;
    if cut == Cut::Remove {
        refused(late)?;
    }
    is_not_seen(&a.get(&key).await?)?;
    is_not_seen(&b.get(&key).await?)
}

async fn removed_after_the_fill_and_filled_again(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    for cut in [Cut::Remove, Cut::Tag, Cut::Space, Cut::Tenant] {
        let key = case.key("k")?;
        let lease = a.ask(&key).await?.leased()?;
        stored(a.fill(&key, &lease, old()?).await?)?;
        b.get(&key).await?.hit("old")?;
        make(case, &b, &key, cut).await?;
        // The answer to the first fill was lost; what is repeated must not come back to life.
        let _: Written = a.fill(&key, &lease, old()?).await?;
        is_not_seen(&a.get(&key).await?)?;
        is_not_seen(&b.get(&key).await?)?;
    }
    Ok(())
}
