//! Writes under a condition.

use super::{
    case::{Case, lasting, value},
    expect::{Outcome, check, refused, stored},
};
use crate::{
    request::{Target, TouchKind, When, Written},
    version::Version,
};

super::rules![
    if_absent_stores_only_where_nothing_is,
    if_present_stores_only_over_something,
    if_version_stores_only_over_that_version,
    of_many_if_absent_one_is_stored,
    an_expired_value_is_absent,
    a_hidden_value_is_absent,
    a_negative_record_is_absent,
    a_refused_write_changes_nothing,
    a_refused_write_leaves_the_lease,
    a_conditional_write_ends_the_lease,
];

async fn if_absent_stores_only_where_nothing_is(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    stored(a.set_when(&key, value("1"), When::IfAbsent).await?)?;
    refused(a.set_when(&key, value("2"), When::IfAbsent).await?)?;
    a.get(&key).await?.hit("1")?;
    a.remove(&key).await?;
    stored(a.set_when(&key, value("3"), When::IfAbsent).await?)?;
    a.get(&key).await?.hit("3")?;
    Ok(())
}

async fn if_present_stores_only_over_something(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    refused(a.set_when(&key, value("1"), When::IfPresent).await?)?;
    a.get(&key).await?.miss()?;
    a.set(&key, value("2")).await?;
    stored(a.set_when(&key, value("3"), When::IfPresent).await?)?;
    a.get(&key).await?.hit("3")?;
    a.remove(&key).await?;
    refused(a.set_when(&key, value("4"), When::IfPresent).await?)
}

async fn if_version_stores_only_over_that_version(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    refused(a.set_when(&key, value("0"), When::IfVersion(Version(1))).await?)?;
    let first = a.set(&key, value("1")).await?;
    let second = stored(a.set_when(&key, value("2"), When::IfVersion(first)).await?)?;
    check(second > first, "the later write has no later version")?;
    refused(b.set_when(&key, value("3"), When::IfVersion(first)).await?)?;
    b.get(&key).await?.hit("2")?;
    a.remove(&key).await?;
    refused(a.set_when(&key, value("4"), When::IfVersion(second)).await?)?;
    // A new value at the old one's place is not the old one.
    a.set(&key, value("5")).await?;
    refused(a.set_when(&key, value("6"), When::IfVersion(first)).await?)?;
    refused(a.set_when(&key, value("6"), When::IfVersion(second)).await?)?;
    a.get(&key).await?.hit("5")?;
    Ok(())
}

async fn of_many_if_absent_one_is_stored(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let mut won = Vec::new();
    for at in 0..20 {
        let text = format!("{at}");
        let caller = if at % 2 == 0 { &a } else { &b };
        if let Written::Stored(_) = caller.set_when(&key, value(&text), When::IfAbsent).await? {
            won.push(text);
        }
    }
    check(won.len() == 1, "several writers each found the key absent")?;
    b.get(&key).await?.hit(&won[0])?;
    Ok(())
}

async fn an_expired_value_is_absent(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    let version = a.set(&key, lasting("1", case.ttl(5)?)).await?;
    case.until(start, case.units(5)).await;
    refused(a.set_when(&key, value("2"), When::IfPresent).await?)?;
    refused(a.set_when(&key, value("2"), When::IfVersion(version)).await?)?;
    stored(a.set_when(&key, value("2"), When::IfAbsent).await?)?;
    a.get(&key).await?.hit("2")?;
    Ok(())
}

async fn a_hidden_value_is_absent(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    let version = a.set(&key, value("1")).await?;
    a.invalidate(Target::Space(case.home()?)).await?;
    refused(a.set_when(&key, value("2"), When::IfPresent).await?)?;
    refused(a.set_when(&key, value("2"), When::IfVersion(version)).await?)?;
    stored(a.set_when(&key, value("2"), When::IfAbsent).await?)?;
    a.get(&key).await?.hit("2")?;
    Ok(())
}

async fn a_negative_record_is_absent(case: &Case<'_>) -> Outcome {
    case.needs_negative()?;
    let a = case.caller().await;
    let key = case.key("k")?;
    a.set(&key, crate::entry::NewEntry::negative(case.ttl(10)?)).await?;
    refused(a.set_when(&key, value("1"), When::IfPresent).await?)?;
    stored(a.set_when(&key, value("1"), When::IfAbsent).await?)?;
    a.get(&key).await?.hit("1")?;
    Ok(())
}

async fn a_refused_write_changes_nothing(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    let version = a.set(&key, lasting("1", case.ttl(10)?)).await?;
    case.until(start, case.units(5)).await;
    refused(a.set_when(&key, lasting("2", case.ttl(100)?), When::IfAbsent).await?)?;
    let lease = a.ask(&case.key("other")?).await?.leased()?;
    refused(a.fill(&key, &lease, lasting("3", case.ttl(100)?)).await?)?;
    check(a.get(&key).await?.hit("1")?.meta.version == version, "a refused write changed the version")?;
    case.until(start, case.units(10)).await;
    a.get(&key).await?.miss()
}

async fn a_refused_write_leaves_the_lease(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    refused(b.set_when(&key, value("1"), When::IfPresent).await?)?;
    refused(b.set_when(&key, value("1"), When::IfVersion(Version(1))).await?)?;
    refused(b.set_when(&key, value("1"), When::IfLease(crate::request::LeaseId(!lease.id.0))).await?)?;
    b.ask(&key).await?.busy_with(lease.id)?;
    stored(a.fill(&key, &lease, value("2")).await?)?;
    b.get(&key).await?.hit("2")?;
    Ok(())
}

async fn a_conditional_write_ends_the_lease(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    stored(b.set_when(&key, value("written"), When::IfAbsent).await?)?;
    check(!a.touch(&key, TouchKind::Renew(lease.id)).await?, "the lease outlived a write")?;
    refused(a.fill(&key, &lease, value("loaded")).await?)?;
    b.get(&key).await?.hit("written")?;
    Ok(())
}
