//! Waiting for somebody else's load.

use std::time::Duration;

use super::{
    case::{Case, asking, value},
    expect::{Outcome, check, fails, refused, stored},
};
use crate::{
    error::ErrorKind,
    request::{OnMiss, Target, TouchKind},
};

super::rules![
    a_free_key_is_not_waited_for,
    a_waiter_is_told_of_a_fill,
    a_waiter_is_told_of_a_write,
    a_waiter_is_told_of_a_removal,
    a_waiter_is_told_of_a_release,
    a_waiter_is_told_when_the_lease_ages_out,
    a_waiter_outlasts_a_clear,
    a_renewed_lease_is_waited_for,
    a_waiter_gives_up_at_its_deadline,
    of_a_hundred_waiters_one_is_leased,
    a_waiter_that_left_takes_nothing_with_it,
];

async fn a_free_key_is_not_waited_for(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    let lease = a.wait(&key).await.seen().await?.leased()?;
    a.fill(&key, &lease, value("v")).await.and_then(stored)?;
    a.wait(&key).await.seen().await?.hit("v")?;
    Ok(())
}

async fn a_waiter_is_told_of_a_fill(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    let (own, other) = (a.wait(&key).await, b.wait(&key).await);
    check(own.is_waiting() && other.is_waiting(), "a busy key was not waited for")?;
    a.fill(&key, &lease, value("v")).await.and_then(stored)?;
    own.seen().await?.hit("v")?;
    other.seen().await?.hit("v")?;
    Ok(())
}

async fn a_waiter_is_told_of_a_write(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    a.ask(&key).await?.leased()?;
    let waiter = b.wait(&key).await;
    a.set(&key, value("v")).await?;
    waiter.seen().await?.hit("v")?;
    Ok(())
}

async fn a_waiter_is_told_of_a_removal(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let old = a.ask(&key).await?.leased()?;
    let waiter = b.wait(&key).await;
    check(waiter.is_waiting(), "a busy key was not waited for")?;
    a.remove(&key).await?;
    let new = waiter.seen().await?.leased()?;
    refused(a.fill(&key, &old, value("old")).await?)?;
    b.fill(&key, &new, value("new")).await.and_then(stored)?;
    a.get(&key).await?.hit("new")?;
    Ok(())
}

async fn a_waiter_is_told_of_a_release(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    let waiter = b.wait(&key).await;
    a.touch(&key, TouchKind::Release(lease.id)).await?;
    waiter.seen().await?.leased()?;
    Ok(())
}

async fn a_waiter_is_told_when_the_lease_ages_out(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let (start, key) = (case.now(), case.key("k")?);
    let lease = a.ask(&key).await?.leased()?;
    let waiter = b.wait(&key).await;
    case.just_before(start, lease.ttl).await;
    check(waiter.is_waiting(), "a standing lease was not waited for")?;
    case.until(start, lease.ttl).await;
    waiter.seen().await?.leased()?;
    refused(a.fill(&key, &lease, value("late")).await?)
}

async fn a_waiter_outlasts_a_clear(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let (start, key) = (case.now(), case.key("k")?);
    let old = a.ask(&key).await?.leased()?;
    let waiter = b.wait(&key).await;
    a.invalidate(Target::Space(case.home()?)).await?;
    case.settle().await;
    // Either the clear told the waiter, or it learns no later than by the old lease's end.
    if waiter.is_waiting() {
        case.until(start, old.ttl).await;
    }
    let new = waiter.seen().await?.leased()?;
    check(new.id != old.id, "the waiter was given the lease of the load before the clear")
}

async fn a_renewed_lease_is_waited_for(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    let waiter = b.wait(&key).await;
    for _ in 0..3 {
        case.advance(lease.ttl * 3 / 4).await;
        a.touch(&key, TouchKind::Renew(lease.id)).await?;
        case.settle().await;
        check(waiter.is_waiting(), "a waiter left a living load")?;
    }
    a.fill(&key, &lease, value("v")).await.and_then(stored)?;
    waiter.seen().await?.hit("v")?;
    Ok(())
}

async fn a_waiter_gives_up_at_its_deadline(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let (start, key) = (case.now(), case.key("k")?);
    let lease = a.ask(&key).await?.leased()?;
    let patience = Duration::from_millis(lease.ttl.as_millis() as u64 / 2);
    let waiter = b.wait_until(&key, Some(start.after(patience))).await;
    case.just_before(start, patience).await;
    check(waiter.is_waiting(), "a waiter gave up before its deadline")?;
    case.until(start, patience).await;
    fails(waiter.answer().await, ErrorKind::Timeout)?;
    a.fill(&key, &lease, value("v")).await.and_then(stored)?;
    b.get(&key).await?.hit("v")?;
    Ok(())
}

async fn of_a_hundred_waiters_one_is_leased(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    let op = asking(&key, None, OnMiss::Wait);
    let waiters: Vec<_> =
        (0..100).map(|at| if at % 2 == 0 { a.start(op.clone()) } else { b.start(op.clone()) }).collect();
    case.settle().await;
    a.touch(&key, TouchKind::Release(lease.id)).await?;
    // Whatever the order in which they look again, one has the lease and the others wait for it.
    for _ in 0..10 {
        case.settle().await;
    }
    let (waiting, told): (Vec<_>, Vec<_>) = waiters.into_iter().partition(|waiter| waiter.is_waiting());
    check(told.len() == 1, &format!("{} of 100 waiters were answered when the lease was released", told.len()))?;
    let mut next = None;
    for waiter in told {
        next = Some(waiter.seen().await?.leased()?);
    }
    let Some(next) = next else { return check(false, "nobody was leased") };
    b.fill(&key, &next, value("v")).await.and_then(stored)?;
    for waiter in waiting {
        waiter.seen().await?.hit("v")?;
    }
    Ok(())
}

async fn a_waiter_that_left_takes_nothing_with_it(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    let (leaves, stays) = (b.wait(&key).await, b.wait(&key).await);
    drop(leaves);
    case.settle().await;
    a.touch(&key, TouchKind::Release(lease.id)).await?;
    // A wake-up given to the one that left must go on to the next.
    let next = stays.seen().await?.leased()?;
    b.fill(&key, &next, value("v")).await.and_then(stored)?;
    a.get(&key).await?.hit("v")?;
    Ok(())
}
