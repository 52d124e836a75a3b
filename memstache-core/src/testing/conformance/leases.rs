//! The right to load: granted to one, renewed, handed over, ended.

use futures_util::future::join;

use super::{
    case::{Case, asking, lasting, value},
    expect::{Outcome, check, refused, stored},
};
use crate::{
    address::Address,
    request::{LeaseId, OnMiss, TouchKind},
};

super::rules![
    one_asker_is_leased_the_others_are_busy,
    a_hundred_askers_get_one_lease,
    who_named_its_lease_is_granted_it_again,
    leases_of_different_keys_are_apart,
    a_fill_is_stored_and_ends_the_lease,
    a_repeated_fill_is_recognised,
    a_fill_without_a_lease_is_refused,
    a_write_ends_the_lease,
    a_lease_lives_for_its_ttl,
    a_renewed_lease_lives_on,
    a_fill_of_an_aged_out_lease_is_refused,
    an_aged_out_lease_is_granted_anew,
    a_released_lease_is_handed_over,
    only_the_holder_releases_and_renews,
    a_stale_value_is_refreshed_by_one,
    a_stale_refresh_that_ages_out_is_granted_anew,
    an_unreadable_version_is_loaded_by_one,
    another_version_is_readable,
];

async fn one_asker_is_leased_the_others_are_busy(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    check(!lease.ttl.is_zero(), "a lease without a life")?;
    a.ask(&key).await?.busy_with(lease.id)?;
    b.ask(&key).await?.busy_with(lease.id)?;
    b.get(&key).await?.miss()
}

async fn a_hundred_askers_get_one_lease(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let op = asking(&key, None, OnMiss::Lease);
    let (first, second) = join(a.crowd(&op, 50), b.crowd(&op, 50)).await;
    let seen = [first?, second?].concat();
    let leases: Vec<_> = seen.iter().filter(|seen| seen.is_leased()).collect();
    check(leases.len() == 1, &format!("{} of 100 askers were leased", leases.len()))?;
    let lease = leases[0].clone().leased()?;
    let busy = seen.iter().filter(|seen| seen.is_busy_with(lease.id)).count();
    check(busy == 99, &format!("{busy} of the 99 others were told of the load that they may join"))
}

async fn who_named_its_lease_is_granted_it_again(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let named = LeaseId::draw();
    let first = a.ask_under(&key, named).await?.leased()?;
    check(first.id == named, "the lease has another id than the one it was asked under")?;
    // The first answer was lost: the attempt is repeated.
    let again = a.ask_under(&key, named).await?.leased()?;
    check(again.id == named && again.sequence == first.sequence, "another lease than the one that stands")?;
    b.ask(&key).await?.busy_with(named)?;
    b.ask_under(&key, LeaseId::draw()).await?.busy_with(named)?;
    check(b.touch(&key, TouchKind::Release(named)).await?, "a named lease cannot be released")?;
    let next = b.ask(&key).await?.leased()?;
    refused(a.fill(&key, &again, value("late")).await?)?;
    b.fill(&key, &next, value("v")).await.and_then(stored)?;
    a.ask_under(&key, named).await?.hit("v").map(drop)
}

async fn leases_of_different_keys_are_apart(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let (one, two) = (case.key("1")?, case.key("2")?);
    let elsewhere = Address::plain(&case.space("bolt", "items")?, "1")?;
    let first = a.ask(&one).await?.leased()?;
    let second = a.ask(&two).await?.leased()?;
    let third = a.ask(&elsewhere).await?.leased()?;
    check(first.id != second.id && first.id != third.id, "two leases have one id")?;
    refused(a.fill(&two, &first, value("1")).await?)?;
    a.fill(&one, &first, value("1")).await.and_then(stored)?;
    a.ask(&two).await?.busy_with(second.id)?;
    a.ask(&elsewhere).await?.busy_with(third.id)
}

async fn a_fill_is_stored_and_ends_the_lease(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    let version = stored(a.fill(&key, &lease, value("v")).await?)?;
    check(a.get(&key).await?.hit("v")?.meta.version == version, "another version than the one filled")?;
    b.ask(&key).await?.hit("v")?;
    check(!a.touch(&key, TouchKind::Renew(lease.id)).await?, "a lease outlived its fill")?;
    a.remove(&key).await?;
    let next = b.ask(&key).await?.leased()?;
    check(next.id != lease.id, "a lease id came back")
}

async fn a_repeated_fill_is_recognised(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    let version = stored(a.fill(&key, &lease, value("v")).await?)?;
    let again = stored(a.fill(&key, &lease, value("v")).await?)?;
    check(again == version, "a repeated fill was stored as another write")?;
    a.set(&key, value("newer")).await?;
    refused(a.fill(&key, &lease, value("v")).await?)?;
    a.get(&key).await?.hit("newer")?;
    a.remove(&key).await?;
    refused(a.fill(&key, &lease, value("v")).await?)?;
    a.get(&key).await?.miss()
}

async fn a_fill_without_a_lease_is_refused(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    let lease = a.ask(&case.key("other")?).await?.leased()?;
    refused(a.fill(&key, &lease, value("v")).await?)?;
    a.get(&key).await?.miss()?;
    a.set(&key, value("v")).await?;
    refused(a.fill(&key, &lease, value("w")).await?)?;
    a.get(&key).await?.hit("v")?;
    Ok(())
}

async fn a_write_ends_the_lease(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    b.set(&key, value("written")).await?;
    check(!a.touch(&key, TouchKind::Renew(lease.id)).await?, "the lease outlived a write")?;
    refused(a.fill(&key, &lease, value("loaded")).await?)?;
    a.get(&key).await?.hit("written")?;
    Ok(())
}

async fn a_lease_lives_for_its_ttl(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    let lease = a.ask(&key).await?.leased()?;
    case.just_before(start, lease.ttl).await;
    a.ask(&key).await?.busy_with(lease.id)?;
    a.fill(&key, &lease, value("v")).await.and_then(stored)?;
    a.get(&key).await?.hit("v")?;
    Ok(())
}

async fn a_renewed_lease_lives_on(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    for _ in 0..4 {
        case.advance(lease.ttl * 3 / 4).await;
        check(a.touch(&key, TouchKind::Renew(lease.id)).await?, "a living loader lost its lease")?;
        b.ask(&key).await?.busy_with(lease.id)?;
    }
    case.advance(lease.ttl * 3 / 4).await;
    a.fill(&key, &lease, value("v")).await.and_then(stored)?;
    b.get(&key).await?.hit("v")?;
    Ok(())
}

async fn a_fill_of_an_aged_out_lease_is_refused(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    let lease = a.ask(&key).await?.leased()?;
    case.until(start, lease.ttl).await;
    check(!a.touch(&key, TouchKind::Renew(lease.id)).await?, "an aged out lease was renewed")?;
    refused(a.fill(&key, &lease, value("late")).await?)?;
    a.get(&key).await?.miss()
}

async fn an_aged_out_lease_is_granted_anew(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let (start, key) = (case.now(), case.key("k")?);
    let old = a.ask(&key).await?.leased()?;
    case.until(start, old.ttl).await;
    let new = b.ask(&key).await?.leased()?;
    check(new.id != old.id, "an aged out lease was granted under its old id")?;
    refused(a.fill(&key, &old, value("late")).await?)?;
    check(!a.touch(&key, TouchKind::Release(old.id)).await?, "an aged out lease was released")?;
    a.ask(&key).await?.busy_with(new.id)?;
    b.fill(&key, &new, value("v")).await.and_then(stored)?;
    refused(a.fill(&key, &old, value("late")).await?)?;
    a.get(&key).await?.hit("v")?;
    Ok(())
}

async fn a_released_lease_is_handed_over(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let old = a.ask(&key).await?.leased()?;
    check(a.touch(&key, TouchKind::Release(old.id)).await?, "a standing lease was not released")?;
    check(!a.touch(&key, TouchKind::Release(old.id)).await?, "a lease was released twice")?;
    let new = b.ask(&key).await?.leased()?;
    refused(a.fill(&key, &old, value("old")).await?)?;
    b.fill(&key, &new, value("new")).await.and_then(stored)?;
    a.get(&key).await?.hit("new")?;
    Ok(())
}

async fn only_the_holder_releases_and_renews(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    let foreign = LeaseId(!lease.id.0);
    check(!a.touch(&key, TouchKind::Renew(foreign)).await?, "another lease was renewed")?;
    check(!a.touch(&key, TouchKind::Release(foreign)).await?, "another lease was released")?;
    a.ask(&key).await?.busy_with(lease.id)
}

async fn a_stale_value_is_refreshed_by_one(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let (key, lease) = leased_stale(case).await?;
    check(b.ask(&key).await?.stale("old")?.is_none(), "a second refresher")?;
    check(a.ask(&key).await?.stale("old")?.is_none(), "a second refresher")?;
    let waited = a.wait(&key).await;
    check(!waited.is_waiting(), "a stale value was waited for")?;
    check(waited.seen().await?.stale("old")?.is_none(), "a second refresher")?;
    a.fill(&key, &lease, value("new")).await.and_then(stored)?;
    b.ask(&key).await?.hit("new")?;
    Ok(())
}

async fn a_stale_refresh_that_ages_out_is_granted_anew(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let (key, old) = leased_stale(case).await?;
    check(a.touch(&key, TouchKind::Release(old.id)).await?, "a refresh could not be given up")?;
    let start = case.now();
    let Some(second) = a.ask(&key).await?.stale("old")? else {
        return check(false, "a released refresh was granted to nobody");
    };
    case.until(start, second.ttl).await;
    let third = a.ask(&key).await?.stale("old")?;
    check(third.is_some_and(|third| third.id != second.id), "an aged out refresh was granted to nobody")?;
    refused(a.fill(&key, &second, value("late")).await?)
}

/// Stores a value, lets it become stale and takes the lease of its refresh.
async fn leased_stale(case: &Case<'_>) -> Outcome<(Address, crate::request::Lease)> {
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("stale")?);
    a.set(&key, lasting("old", case.ttl(10)?.with_stale_for(case.units(1000))?)).await?;
    case.until(start, case.units(10)).await;
    check(a.get(&key).await?.stale("old")?.is_none(), "a reader who asked for no lease got one")?;
    match a.ask(&key).await?.stale("old")? {
        Some(lease) => Ok((key, lease)),
        None => Err(super::expect::broken("nobody was to refresh a stale value")),
    }
}

async fn an_unreadable_version_is_loaded_by_one(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let bad = a.set(&key, value("bad")).await?;
    b.get(&key).await?.hit("bad")?;
    let report = asking(&key, Some(bad), OnMiss::Report);
    a.crowd(&report, 1).await?.remove(0).miss()?;
    let op = asking(&key, Some(bad), OnMiss::Lease);
    let (first, second) = join(a.crowd(&op, 50), b.crowd(&op, 50)).await;
    let seen = [first?, second?].concat();
    let leases: Vec<_> = seen.iter().filter(|seen| seen.is_leased()).collect();
    check(leases.len() == 1, &format!("{} of 100 readers were to reload it", leases.len()))?;
    let lease = leases[0].clone().leased()?;
    let busy = seen.iter().filter(|seen| seen.is_busy_with(lease.id)).count();
    check(busy == 99, &format!("{busy} of the 99 others were told of the reload"))?;
    a.get(&key).await?.hit("bad")?;
    a.fill(&key, &lease, value("good")).await.and_then(stored)?;
    b.ask_unless(&key, bad).await?.hit("good")?;
    a.get(&key).await?.hit("good")?;
    Ok(())
}

async fn another_version_is_readable(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    let old = a.set(&key, value("1")).await?;
    a.set(&key, value("2")).await?;
    a.ask_unless(&key, old).await?.hit("2")?;
    Ok(())
}
