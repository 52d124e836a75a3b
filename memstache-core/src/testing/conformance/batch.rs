//! Many items in one call: in order, one answer each.

use super::{
    case::{Case, tagged, value},
    expect::{Outcome, Seen, check, fails},
};
use crate::{
    address::Address,
    entry::NewEntry,
    error::{ErrorKind, Result},
    name::Tag,
    request::{
        Get, Invalidate, LeaseId, OnMiss, OneOrMany, Remove, Scope, Set, SetItem, Target, Touch, TouchItem, TouchKind,
        When, Written,
    },
};

super::rules![
    answers_are_in_the_order_asked,
    one_of_many_is_answered_like_one,
    a_key_asked_twice_is_answered_twice,
    a_key_written_twice_keeps_the_last,
    an_empty_batch_is_fine,
    every_item_is_removed_by_itself,
    every_item_is_touched_by_itself,
    every_item_is_written_on_its_own_condition,
    one_refused_item_fails_no_other,
    every_missing_item_is_leased_by_itself,
    a_batch_never_waits_for_itself,
    two_loaders_never_wait_for_each_other,
    every_target_is_invalidated,
    a_batch_may_span_tenants,
];

async fn answers_are_in_the_order_asked(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let keys = keys(case, 20)?;
    let (stored, missing) = keys.split_at(10);
    let written = a.run(set_all(stored.iter().enumerate().map(|(at, key)| (key, value(&at.to_string()))))).await?;
    check(written.len() == 10, "another number of answers than of items")?;
    // Backwards, with every second one missing.
    let order: Vec<usize> = (0..10).rev().collect();
    let asked: Vec<_> = order.iter().flat_map(|at| [stored[*at].clone(), missing[*at].clone()]).collect();
    for caller in [&a, &b, &a] {
        let found = caller.read(get_all(&asked, OnMiss::Report)).await?;
        check(found.len() == 20, "another number of answers than of items")?;
        let mut found = found.into_iter();
        for at in &order {
            seen(found.next())?.hit(at.to_string())?;
            seen(found.next())?.miss()?;
        }
    }
    Ok(())
}

async fn one_of_many_is_answered_like_one(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    let op = Set { items: OneOrMany::Many(vec![item(&key, value("v"), When::Always)]), scope: Scope::default() };
    check(a.run(op).await?.len() == 1, "another number of answers than of items")?;
    let mut op = Get::one(key.clone());
    op.items = OneOrMany::Many(op.items.into_iter().collect());
    let found = a.read(op).await?;
    check(found.len() == 1, "another number of answers than of items")?;
    seen(found.into_iter().next())?.hit("v")?;
    a.get(&key).await?.hit("v")?;
    Ok(())
}

async fn a_key_asked_twice_is_answered_twice(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let (key, other) = (case.key("k")?, case.key("other")?);
    a.set(&key, value("v")).await?;
    for _ in 0..2 {
        let asked = [key.clone(), other.clone(), key.clone(), key.clone()];
        let mut found = a.read(get_all(&asked, OnMiss::Report)).await?.into_iter();
        seen(found.next())?.hit("v")?;
        seen(found.next())?.miss()?;
        seen(found.next())?.hit("v")?;
        seen(found.next())?.hit("v")?;
        check(found.next().is_none(), "more answers than items")?;
    }
    Ok(())
}

async fn a_key_written_twice_keeps_the_last(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    let written = a.run(set_all([(&key, value("1")), (&key, value("2"))])).await?;
    let versions = written.into_iter().map(|item| item.map_err(Into::into).and_then(super::expect::stored));
    let versions = versions.collect::<Outcome<Vec<_>>>()?;
    check(versions.len() == 2 && versions[0] < versions[1], "the items of a batch were not written in order")?;
    let entry = a.get(&key).await?.hit("2")?;
    check(entry.meta.version == versions[1], "the value has another version than its write")
}

async fn an_empty_batch_is_fine(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let scope = Scope::default();
    let counts = [
        a.run(Get { items: OneOrMany::Many(vec![]), on_miss: OnMiss::Lease, scope }).await?.len(),
        a.run(Get { items: OneOrMany::Many(vec![]), on_miss: OnMiss::Wait, scope }).await?.len(),
        a.run(Set { items: OneOrMany::Many(vec![]), scope }).await?.len(),
        a.run(Remove { items: OneOrMany::Many(vec![]), scope }).await?.len(),
        a.run(Touch { items: OneOrMany::Many(vec![]), scope }).await?.len(),
        a.run(Invalidate { items: OneOrMany::Many(vec![]), scope }).await?.len(),
    ];
    check(counts == [0; 6], "answers to no items")
}

async fn every_item_is_removed_by_itself(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let keys = keys(case, 4)?;
    a.run(set_all(keys[..2].iter().map(|key| (key, value("v"))))).await?;
    b.get(&keys[0]).await?.hit("v")?;
    let asked = [2, 0, 3, 1, 0].map(|at: usize| keys[at].clone());
    let op = Remove { items: OneOrMany::Many(asked.to_vec()), scope: Scope::default() };
    let removed: Vec<bool> = a.run(op).await?.into_iter().collect::<Result<_>>()?;
    check(removed == [false, true, false, true, false], &format!("expected F T F T F, found {removed:?}"))?;
    b.get(&keys[0]).await?.miss()?;
    b.get(&keys[1]).await?.miss()
}

async fn every_item_is_touched_by_itself(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let keys = keys(case, 3)?;
    a.set(&keys[1], value("v")).await?;
    let lease = a.ask(&keys[2]).await?.leased()?;
    let kinds = [
        (0, TouchKind::Probe),
        (1, TouchKind::Probe),
        (2, TouchKind::Probe),
        (2, TouchKind::Renew(lease.id)),
        (0, TouchKind::Release(LeaseId(!lease.id.0))),
        (1, TouchKind::Live(case.ttl(5)?)),
    ];
    let items = kinds.iter().map(|(at, kind)| TouchItem { address: keys[*at].clone(), kind: *kind }).collect();
    let op = Touch { items: OneOrMany::Many(items), scope: Scope::default() };
    let touched: Vec<bool> = a.run(op).await?.into_iter().collect::<Result<_>>()?;
    check(touched == [false, true, false, true, false, true], &format!("expected F T F T F T, found {touched:?}"))
}

async fn every_item_is_written_on_its_own_condition(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let keys = keys(case, 4)?;
    a.set(&keys[0], value("old")).await?;
    let items = vec![
        item(&keys[0], value("new"), When::IfAbsent),
        item(&keys[1], value("new"), When::IfAbsent),
        item(&keys[2], value("new"), When::IfPresent),
        item(&keys[3], value("new"), When::Always),
    ];
    let written = a.run(Set { items: OneOrMany::Many(items), scope: Scope::default() }).await?;
    let written: Vec<bool> = written.into_iter().map(|item| Ok(item? != Written::Refused)).collect::<Outcome<_>>()?;
    check(written == [false, true, false, true], &format!("expected F T F T, found {written:?}"))?;
    a.get(&keys[0]).await?.hit("old")?;
    a.get(&keys[1]).await?.hit("new")?;
    a.get(&keys[2]).await?.miss()?;
    a.get(&keys[3]).await?.hit("new")?;
    Ok(())
}

async fn one_refused_item_fails_no_other(case: &Case<'_>) -> Outcome {
    case.needs_unsealed()?;
    let a = case.caller().await;
    let keys = keys(case, 3)?;
    let mut secret = value("secret");
    secret.options.encrypt = Some(true);
    let entries = [value("0"), secret, value("2")];
    let mut written = a.run(set_all(keys.iter().zip(entries))).await?.into_iter();
    check(matches!(written.next(), Some(Ok(Written::Stored(_)))), "the item before the refused one was not stored")?;
    fails(written.next().ok_or_else(|| super::expect::broken("fewer answers than items"))?, ErrorKind::Unsupported)?;
    check(matches!(written.next(), Some(Ok(Written::Stored(_)))), "the item after the refused one was not stored")?;
    a.get(&keys[0]).await?.hit("0")?;
    a.get(&keys[1]).await?.miss()?;
    a.get(&keys[2]).await?.hit("2")?;
    Ok(())
}

async fn every_missing_item_is_leased_by_itself(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let keys = keys(case, 4)?;
    a.set(&keys[0], value("0")).await?;
    let theirs = b.ask(&keys[1]).await?.leased()?;
    let asked = [0, 1, 2, 3, 2].map(|at: usize| keys[at].clone());
    let mut found = a.read(get_all(&asked, OnMiss::Lease)).await?.into_iter();
    seen(found.next())?.hit("0")?;
    seen(found.next())?.busy_with(theirs.id)?;
    let two = seen(found.next())?.leased()?;
    let three = seen(found.next())?.leased()?;
    seen(found.next())?.busy_with(two.id)?;
    let items = vec![
        item(&keys[3], value("3"), When::IfLease(three.id)),
        item(&keys[2], value("2"), When::IfLease(two.id)),
        item(&keys[1], value("1"), When::IfLease(two.id)),
    ];
    let written = a.run(Set { items: OneOrMany::Many(items), scope: Scope::default() }).await?;
    let written: Vec<bool> = written.into_iter().map(|item| Ok(item? != Written::Refused)).collect::<Outcome<_>>()?;
    check(written == [true, true, false], &format!("expected T T F, found {written:?}"))?;
    b.get(&keys[2]).await?.hit("2")?;
    b.get(&keys[3]).await?.hit("3")?;
    b.get(&keys[1]).await?.miss()
}

async fn a_batch_never_waits_for_itself(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    let found = a.read(get_all(&[key.clone(), key.clone()], OnMiss::Wait)).await?;
    let found = found.into_iter().map(|item| Ok(Seen(item?))).collect::<Outcome<Vec<_>>>()?;
    check(found.len() == 2, "another number of answers than of items")?;
    let lease = found[0].clone().leased()?;
    found[1].clone().busy_with(lease.id)?;
    a.ask(&key).await?.busy_with(lease.id)
}

async fn two_loaders_never_wait_for_each_other(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let keys = keys(case, 2)?;
    let theirs = b.ask(&keys[1]).await?.leased()?;
    let batch = a.start_many(get_all(&keys, OnMiss::Wait));
    case.settle().await;
    let other = b.wait(&keys[0]).await;
    if !batch.is_waiting() {
        // Answered with what it was granted, and told that the other is busy.
        return Ok(());
    }
    check(!other.is_waiting(), "a batch waits for a loader, and that loader for the batch")?;
    let own = other.seen().await?.leased()?;
    super::expect::stored(b.fill(&keys[0], &own, value("0")).await?)?;
    super::expect::stored(b.fill(&keys[1], &theirs, value("1")).await?)?;
    let mut found = batch.answer().await?.into_iter();
    seen(found.next())?.hit("0")?;
    seen(found.next())?.hit("1")?;
    Ok(())
}

async fn every_target_is_invalidated(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let home = case.home()?;
    let (red, blue, plain) = (case.key("red")?, case.key("blue")?, case.key("plain")?);
    let cart = Address::plain(&case.space("acme", "carts")?, "k")?;
    let entries = [(&red, tagged("v", &["red"])?), (&blue, tagged("v", &["blue"])?), (&plain, value("v"))];
    a.run(set_all(entries.into_iter().chain([(&cart, value("v"))]))).await?;
    let tag = |tag| Ok::<_, super::expect::Failure>(Target::Tag(home.clone(), Tag::new(tag)?));
    let items = OneOrMany::Many(vec![tag("red")?, Target::Space(cart.space()), tag("blue")?]);
    let sequences = a.run(Invalidate { items, scope: Scope::default() }).await?;
    let sequences: Vec<_> = sequences.into_iter().collect::<Result<_>>()?;
    check(sequences.len() == 3, "another number of answers than of items")?;
    check(sequences[0] < sequences[2], "two invalidations of a space in one batch stand in the wrong order")?;
    a.get(&plain).await?.hit("v")?;
    for key in [&red, &blue, &cart] {
        a.get(key).await?.miss()?;
    }
    Ok(())
}

async fn a_batch_may_span_tenants(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let spaces = [case.home()?, case.space("bolt", "items")?, case.space("", "items")?];
    let keys: Vec<_> = spaces.iter().map(|space| Address::plain(space, "k")).collect::<Result<_>>()?;
    a.run(set_all(keys.iter().zip(["0", "1", "2"].map(value)))).await?;
    let mut found = a.read(get_all(&keys, OnMiss::Report)).await?.into_iter();
    for text in ["0", "1", "2"] {
        seen(found.next())?.hit(text)?;
    }
    Ok(())
}

fn keys(case: &Case<'_>, count: usize) -> Outcome<Vec<Address>> {
    (0..count).map(|at| Ok(case.key(format!("k{at}"))?)).collect()
}

fn item(key: &Address, entry: NewEntry, when: When) -> SetItem {
    SetItem { address: key.clone(), entry, when }
}

fn set_all<'a>(entries: impl IntoIterator<Item = (&'a Address, NewEntry)>) -> Set {
    let items = entries.into_iter().map(|(key, entry)| item(key, entry, When::Always)).collect();
    Set { items: OneOrMany::Many(items), scope: Scope::default() }
}

fn get_all(keys: &[Address], on_miss: OnMiss) -> Get {
    let items = keys.iter().cloned().map(Into::into).collect();
    Get { items: OneOrMany::Many(items), on_miss, scope: Scope::default() }
}

#[track_caller]
fn seen(item: Option<Result<crate::request::Lookup>>) -> Outcome<Seen> {
    Ok(Seen(item.ok_or_else(|| super::expect::broken("fewer answers than items"))??))
}
