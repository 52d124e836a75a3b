//! Hiding entries by tag, by space and by tenant.

use super::{
    case::{Caller, Case, lasting, tagged, value},
    expect::{Outcome, check, stored},
};
use crate::{
    address::{Address, Space},
    entry::NewEntry,
    name::Tag,
    request::{Target, TouchKind},
};

super::rules![
    a_tag_hides_what_carries_it,
    any_of_its_tags_hides_an_entry,
    a_tag_of_one_keyspace_hides_nothing_in_another,
    a_tag_of_one_tenant_hides_nothing_of_another,
    a_clear_hides_the_whole_space,
    a_clear_leaves_other_spaces,
    a_clear_of_the_shared_space_leaves_tenants,
    a_tenants_clear_hides_all_its_keyspaces,
    a_tenants_clear_leaves_other_tenants,
    what_is_written_afterwards_is_seen,
    what_is_loaded_afterwards_is_seen,
    a_load_without_the_tag_is_seen,
    what_is_hidden_is_not_there,
    stale_values_are_hidden_too,
    a_touch_does_not_bring_back_what_is_hidden,
    sequences_rise,
    invalidating_nothing_is_fine,
];

async fn a_tag_hides_what_carries_it(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let (red, blue, plain) = (case.key("red")?, case.key("blue")?, case.key("plain")?);
    for (key, entry) in [(&red, tagged("1", &["red"])?), (&blue, tagged("2", &["blue"])?), (&plain, value("3"))] {
        let text = entry.value.clone();
        a.set(key, entry).await?;
        b.get(key).await?.hit(&text)?;
    }
    a.invalidate_tag(&case.home()?, "red").await?;
    for caller in [&a, &b] {
        caller.get(&red).await?.miss()?;
        caller.get(&blue).await?.hit("2")?;
        caller.get(&plain).await?.hit("3")?;
    }
    Ok(())
}

async fn any_of_its_tags_hides_an_entry(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let tags = ["one", "two", "ü three", "4:5"];
    for (at, tag) in tags.iter().enumerate() {
        let key = case.key(format!("{at}"))?;
        a.set(&key, tagged("v", &tags)?).await?;
        a.get(&key).await?.hit("v")?;
        a.invalidate_tag(&case.home()?, tag).await?;
        a.get(&key).await?.miss()?;
    }
    Ok(())
}

async fn a_tag_of_one_keyspace_hides_nothing_in_another(case: &Case<'_>) -> Outcome {
    tag_hides_only_in(case, &case.home()?, &case.space("acme", "carts")?).await
}

async fn a_tag_of_one_tenant_hides_nothing_of_another(case: &Case<'_>) -> Outcome {
    tag_hides_only_in(case, &case.home()?, &case.space("bolt", "items")?).await?;
    tag_hides_only_in(case, &case.space("", "items")?, &case.home()?).await
}

async fn tag_hides_only_in(case: &Case<'_>, hidden: &Space, left: &Space) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let (gone, stays) = (Address::plain(hidden, "k")?, Address::plain(left, "k")?);
    for key in [&gone, &stays] {
        a.set(key, tagged("v", &["red"])?).await?;
        b.get(key).await?.hit("v")?;
    }
    a.invalidate_tag(hidden, "red").await?;
    for caller in [&a, &b] {
        caller.get(&gone).await?.miss()?;
        caller.get(&stays).await?.hit("v")?;
    }
    Ok(())
}

async fn a_clear_hides_the_whole_space(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let keys = [case.key("1")?, case.key("2")?, case.key("3")?];
    for key in &keys {
        a.set(key, value("v")).await?;
        b.get(key).await?.hit("v")?;
    }
    a.invalidate(Target::Space(case.home()?)).await?;
    for key in &keys {
        a.get(key).await?.miss()?;
        b.get(key).await?.miss()?;
    }
    b.ask(&keys[0]).await?.leased()?;
    Ok(())
}

async fn a_clear_leaves_other_spaces(case: &Case<'_>) -> Outcome {
    let left = [case.space("acme", "carts")?, case.space("bolt", "items")?, case.space("", "items")?];
    clear_leaves(case, Target::Space(case.home()?), &left).await
}

async fn a_clear_of_the_shared_space_leaves_tenants(case: &Case<'_>) -> Outcome {
    clear_leaves(case, Target::Space(case.space("", "items")?), &[case.home()?, case.space("", "carts")?]).await
}

async fn a_tenants_clear_hides_all_its_keyspaces(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let keys = keys_in(&[case.home()?, case.space("acme", "carts")?])?;
    fill_all(&a, &b, &keys).await?;
    a.invalidate(Target::Tenant(case.tenant("acme")?)).await?;
    for key in &keys {
        a.get(key).await?.miss()?;
        b.get(key).await?.miss()?;
    }
    Ok(())
}

async fn a_tenants_clear_leaves_other_tenants(case: &Case<'_>) -> Outcome {
    clear_leaves(case, Target::Tenant(case.tenant("acme")?), &[case.space("bolt", "items")?, case.space("", "items")?])
        .await
}

async fn clear_leaves(case: &Case<'_>, target: Target, left: &[Space]) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let keys = keys_in(left)?;
    fill_all(&a, &b, &keys).await?;
    let busy = Address::plain(&left[0], "loading")?;
    let lease = a.ask(&busy).await?.leased()?;
    a.invalidate(target).await?;
    for key in &keys {
        a.get(key).await?.hit("v")?;
        b.get(key).await?.hit("v")?;
    }
    b.ask(&busy).await?.busy_with(lease.id)?;
    stored(a.fill(&busy, &lease, value("loaded")).await?)?;
    b.get(&busy).await?.hit("loaded")?;
    Ok(())
}

async fn what_is_written_afterwards_is_seen(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    for (at, target) in targets(case)?.into_iter().enumerate() {
        a.set(&key, tagged("old", &["red"])?).await?;
        b.get(&key).await?.hit("old")?;
        a.invalidate(target).await?;
        let text = format!("new {at}");
        b.set(&key, tagged(&text, &["red"])?).await?;
        a.get(&key).await?.hit(&text)?;
        b.get(&key).await?.hit(&text)?;
    }
    Ok(())
}

async fn what_is_loaded_afterwards_is_seen(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    for target in targets(case)? {
        a.set(&key, tagged("old", &["red"])?).await?;
        a.invalidate(target).await?;
        let lease = b.ask(&key).await?.leased()?;
        stored(b.fill(&key, &lease, tagged("new", &["red"])?).await?)?;
        a.get(&key).await?.hit("new")?;
    }
    Ok(())
}

async fn a_load_without_the_tag_is_seen(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    a.invalidate_tag(&case.home()?, "red").await?;
    stored(a.fill(&key, &lease, tagged("v", &["blue"])?).await?)?;
    a.get(&key).await?.hit("v")?;
    Ok(())
}

async fn what_is_hidden_is_not_there(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    for target in targets(case)? {
        a.set(&key, tagged("v", &["red"])?).await?;
        a.invalidate(target).await?;
        check(!a.touch(&key, TouchKind::Probe).await?, "a hidden key exists")?;
        check(!a.remove(&key).await?, "a hidden entry was said to be removed")?;
    }
    Ok(())
}

async fn stale_values_are_hidden_too(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    for target in targets(case)? {
        let lifetime = case.ttl(2)?.with_stale_for(case.units(100))?;
        let start = case.now();
        a.set(&key, NewEntry { tags: tagged("", &["red"])?.tags, ..lasting("old", lifetime) }).await?;
        case.until(start, case.units(3)).await;
        a.get(&key).await?.stale("old")?;
        a.invalidate(target).await?;
        a.get(&key).await?.miss()?;
    }
    Ok(())
}

async fn a_touch_does_not_bring_back_what_is_hidden(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    for target in targets(case)? {
        a.set(&key, tagged("v", &["red"])?).await?;
        a.invalidate(target).await?;
        check(!a.touch(&key, TouchKind::Live(case.ttl(10)?)).await?, "a hidden value was given a lifetime")?;
        check(!a.touch(&key, TouchKind::Slide).await?, "a hidden value was touched")?;
        a.get(&key).await?.miss()?;
    }
    Ok(())
}

async fn sequences_rise(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    let mut last = a.invalidate_tag(&case.home()?, "red").await?;
    let lease = a.ask(&key).await?.leased()?;
    check(lease.sequence >= last, "a lease captured a sequence from before the last invalidation")?;
    for target in [Target::Tag(case.home()?, Tag::new("red")?), Target::Space(case.home()?)] {
        let next = a.invalidate(target).await?;
        check(next > last, "a later invalidation has no later sequence")?;
        last = next;
    }
    Ok(())
}

async fn invalidating_nothing_is_fine(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    for target in targets(case)? {
        a.invalidate(target.clone()).await?;
        a.invalidate(target).await?;
    }
    a.get(&case.key("k")?).await?.miss()
}

/// Returns everything that hides an entry in the home space with the tag "red".
fn targets(case: &Case<'_>) -> Outcome<[Target; 3]> {
    let home = case.home()?;
    Ok([Target::Tag(home.clone(), Tag::new("red")?), Target::Space(home), Target::Tenant(case.tenant("acme")?)])
}

fn keys_in(spaces: &[Space]) -> Outcome<Vec<Address>> {
    Ok(spaces.iter().map(|space| Address::plain(space, "k")).collect::<Result<_, _>>()?)
}

async fn fill_all(a: &Caller<'_>, b: &Caller<'_>, keys: &[Address]) -> Outcome {
    for key in keys {
        a.set(key, tagged("v", &["red"])?).await?;
        b.get(key).await?.hit("v")?;
    }
    Ok(())
}
