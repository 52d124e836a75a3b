//! Lifetimes: fixed, sliding, in grace, capped by the reader.

use super::{
    case::{Case, lasting, value},
    expect::{Outcome, check},
};
use crate::{entry::NewEntry, lifetime::Lifetime, request::TouchKind};

super::rules![
    a_value_lives_for_its_ttl,
    a_value_without_ttl_lives_on,
    an_expired_value_is_to_be_loaded,
    a_write_starts_a_new_life,
    a_read_extends_a_sliding_value,
    a_read_with_most_of_the_window_left_extends_nothing,
    an_idle_sliding_value_expires,
    a_sliding_value_ends_with_its_ttl,
    a_slide_counts_as_a_read,
    a_probe_does_not_count_as_a_read,
    a_value_in_its_grace_is_stale,
    max_staleness_ends_the_grace,
    max_staleness_is_kept_by_every_answer,
    a_negative_record_is_told_apart,
    a_negative_record_expires,
    a_sealed_negative_record_comes_with_its_bytes,
    a_new_lifetime_counts_from_now,
    a_shorter_lifetime_reaches_every_handle,
];

async fn a_value_lives_for_its_ttl(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let (start, key) = (case.now(), case.key("k")?);
    a.set(&key, lasting("v", case.ttl(10)?)).await?;
    b.get(&key).await?.hit("v")?;
    case.just_before(start, case.units(10)).await;
    a.get(&key).await?.hit("v")?;
    b.get(&key).await?.hit("v")?;
    case.until(start, case.units(10)).await;
    a.get(&key).await?.miss()?;
    b.get(&key).await?.miss()
}

async fn a_value_without_ttl_lives_on(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    a.set(&key, value("v")).await?;
    case.advance(case.units(100)).await;
    a.get(&key).await?.hit("v")?;
    Ok(())
}

async fn an_expired_value_is_to_be_loaded(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    a.set(&key, lasting("old", case.ttl(5)?)).await?;
    case.until(start, case.units(5)).await;
    let lease = a.ask(&key).await?.leased()?;
    a.ask(&key).await?.busy_with(lease.id)?;
    a.fill(&key, &lease, value("new")).await?;
    a.get(&key).await?.hit("new")?;
    Ok(())
}

async fn a_write_starts_a_new_life(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    a.set(&key, lasting("1", case.ttl(10)?)).await?;
    case.until(start, case.units(8)).await;
    let start = case.now();
    a.set(&key, lasting("2", case.ttl(10)?)).await?;
    case.just_before(start, case.units(10)).await;
    a.get(&key).await?.hit("2")?;
    case.until(start, case.units(10)).await;
    a.get(&key).await?.miss()
}

async fn a_read_extends_a_sliding_value(case: &Case<'_>) -> Outcome {
    case.needs_sliding()?;
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    a.set(&key, sliding(case, 10)?).await?;
    for _ in 0..3 {
        case.advance(case.units(6)).await;
        a.get(&key).await?.hit("v")?;
        case.settle().await;
    }
    let last = case.now();
    check(last.since(start) > case.units(10), "the case is wrong")?;
    case.until(last, case.units(10)).await;
    a.get(&key).await?.miss()
}

async fn a_read_with_most_of_the_window_left_extends_nothing(case: &Case<'_>) -> Outcome {
    case.needs_sliding()?;
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    a.set(&key, sliding(case, 10)?).await?;
    case.until(start, case.units(1) / 2).await;
    a.get(&key).await?.hit("v")?;
    case.settle().await;
    case.until(start, case.units(10)).await;
    a.get(&key).await?.miss()
}

async fn an_idle_sliding_value_expires(case: &Case<'_>) -> Outcome {
    case.needs_sliding()?;
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    a.set(&key, sliding(case, 10)?).await?;
    case.until(start, case.units(10)).await;
    a.get(&key).await?.miss()
}

async fn a_sliding_value_ends_with_its_ttl(case: &Case<'_>) -> Outcome {
    case.needs_sliding()?;
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    a.set(&key, lasting("v", case.ttl(15)?.with_sliding(case.units(10))?)).await?;
    for at in [5, 9, 13] {
        case.until(start, case.units(at)).await;
        a.get(&key).await?.hit("v")?;
        case.settle().await;
    }
    case.just_before(start, case.units(15)).await;
    a.get(&key).await?.hit("v")?;
    case.until(start, case.units(15)).await;
    a.get(&key).await?.miss()
}

async fn a_slide_counts_as_a_read(case: &Case<'_>) -> Outcome {
    case.needs_sliding()?;
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    check(!a.touch(&key, TouchKind::Slide).await?, "a missing key was touched")?;
    a.set(&key, sliding(case, 10)?).await?;
    case.until(start, case.units(6)).await;
    check(a.touch(&key, TouchKind::Slide).await?, "a live key was not touched")?;
    case.until(start, case.units(14)).await;
    check(a.touch(&key, TouchKind::Probe).await?, "a touch did not extend the entry")?;
    case.until(start, case.units(17)).await;
    a.get(&key).await?.miss()
}

async fn a_probe_does_not_count_as_a_read(case: &Case<'_>) -> Outcome {
    case.needs_sliding()?;
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    a.set(&key, sliding(case, 10)?).await?;
    case.until(start, case.units(6)).await;
    check(a.touch(&key, TouchKind::Probe).await?, "a live key does not exist")?;
    case.until(start, case.units(10)).await;
    a.get(&key).await?.miss()
}

async fn a_value_in_its_grace_is_stale(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    a.set(&key, graced(case, 10, 5)?).await?;
    case.just_before(start, case.units(10)).await;
    a.get(&key).await?.hit("v")?;
    case.until(start, case.units(10)).await;
    check(a.get(&key).await?.stale("v")?.is_none(), "a reader who asked for no lease got one")?;
    check(!a.touch(&key, TouchKind::Probe).await?, "a stale value is live")?;
    case.just_before(start, case.units(15)).await;
    a.get(&key).await?.stale("v")?;
    case.until(start, case.units(15)).await;
    a.get(&key).await?.miss()
}

async fn max_staleness_ends_the_grace(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    a.set(&key, graced(case, 10, 20)?).await?;
    case.until(start, case.units(14)).await;
    a.get_within(&key, Some(case.units(6))).await?.stale("v")?;
    a.get_within(&key, Some(case.units(3))).await?.miss()?;
    a.get(&key).await?.stale("v")?;
    Ok(())
}

async fn max_staleness_is_kept_by_every_answer(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let (start, key) = (case.now(), case.key("k")?);
    a.set(&key, lasting("v", case.ttl(60)?)).await?;
    for at in [0, 5, 10] {
        case.until(start, case.units(at)).await;
        // Whether a copy answers or the authority, it must have been confirmed by then.
        let entry = b.get_within(&key, Some(case.units(2))).await?.hit("v")?;
        let age = case.now().since(entry.meta.confirmed_at);
        check(age <= case.units(2), "an answer is older than the reader accepts")?;
    }
    Ok(())
}

async fn a_negative_record_is_told_apart(case: &Case<'_>) -> Outcome {
    case.needs_negative()?;
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let lease = a.ask(&key).await?.leased()?;
    a.fill(&key, &lease, NewEntry::negative(case.ttl(10)?)).await?;
    a.get(&key).await?.negative()?;
    b.get(&key).await?.negative()?;
    b.ask(&key).await?.negative()?;
    check(!b.touch(&key, TouchKind::Probe).await?, "a negative record is a live value")?;
    b.set(&key, value("v")).await?;
    a.get(&key).await?.hit("v")?;
    Ok(())
}

async fn a_sealed_negative_record_comes_with_its_bytes(case: &Case<'_>) -> Outcome {
    case.needs_negative()?;
    case.needs_unsealed()?;
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    let mut record = NewEntry::negative(case.ttl(10)?);
    record.value = "sealed".into();
    record.content.sealed = true;
    a.set(&key, record).await?;
    for caller in [&a, &b] {
        let content = caller.get(&key).await?.hit("sealed")?.meta.content;
        check(content.negative && content.sealed, "the record has lost what it is")?;
    }
    check(!a.touch(&key, TouchKind::Probe).await?, "a sealed negative record is a live value")
}

async fn a_negative_record_expires(case: &Case<'_>) -> Outcome {
    case.needs_negative()?;
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    a.set(&key, NewEntry::negative(case.ttl(10)?)).await?;
    case.just_before(start, case.units(10)).await;
    a.get(&key).await?.negative()?;
    case.until(start, case.units(10)).await;
    a.ask(&key).await?.leased()?;
    Ok(())
}

async fn a_new_lifetime_counts_from_now(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let (start, key) = (case.now(), case.key("k")?);
    let longer = TouchKind::Live(case.ttl(20)?);
    check(!a.touch(&key, longer).await?, "a missing key was given a lifetime")?;
    a.set(&key, lasting("v", case.ttl(10)?)).await?;
    case.until(start, case.units(5)).await;
    let start = case.now();
    check(a.touch(&key, longer).await?, "a live key was not given a lifetime")?;
    case.just_before(start, case.units(20)).await;
    a.get(&key).await?.hit("v")?;
    case.until(start, case.units(20)).await;
    a.get(&key).await?.miss()?;
    check(!a.touch(&key, longer).await?, "an expired value came back to life")
}

async fn a_shorter_lifetime_reaches_every_handle(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    a.set(&key, lasting("v", case.ttl(60)?)).await?;
    b.get(&key).await?.hit("v")?;
    let start = case.now();
    a.touch(&key, TouchKind::Live(case.ttl(5)?)).await?;
    b.get(&key).await?.hit("v")?;
    case.until(start, case.units(5)).await;
    b.get(&key).await?.miss()
}

fn sliding(case: &Case<'_>, window: u32) -> Outcome<NewEntry> {
    Ok(lasting("v", Lifetime::UNLIMITED.with_sliding(case.units(window))?))
}

fn graced(case: &Case<'_>, ttl: u32, grace: u32) -> Outcome<NewEntry> {
    Ok(lasting("v", case.ttl(ttl)?.with_stale_for(case.units(grace))?))
}
