//! Keeping values apart and giving them back.

use super::{
    case::{Case, asking, lasting, value},
    expect::{Outcome, check, fails},
};
use crate::{
    address::{Address, MAX_NAME},
    entry::{FormatId, NewEntry, Schema},
    error::ErrorKind,
    lifetime::Lifetime,
    request::{OnMiss, OneOrMany, Scope, Set, SetItem, TouchKind, When},
};

super::rules![
    a_value_comes_back,
    an_empty_value_is_a_value,
    what_the_bytes_are_comes_back,
    names_are_binary,
    a_missing_key_is_a_miss,
    tenants_are_apart,
    keyspaces_are_apart,
    the_shared_space_is_apart,
    the_newest_value_is_read,
    versions_rise_across_a_removal,
    another_handle_reads_it,
    a_removed_value_is_gone,
    removal_says_whether_there_was_one,
    existence_is_probed,
    what_must_be_sealed_is_not_stored_bare,
    explanations_agree_with_reads_and_change_nothing,
];

async fn a_value_comes_back(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    let version = a.set(&key, value("v")).await?;
    let entry = a.get(&key).await?.hit("v")?;
    check(entry.meta.version == version, "the value read has another version than the one stored")
}

async fn an_empty_value_is_a_value(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    a.set(&key, value("")).await?;
    a.get(&key).await?.hit("")?;
    check(a.touch(&key, TouchKind::Probe).await?, "an empty value was taken for none")
}

async fn what_the_bytes_are_comes_back(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    let mut entry = value("{}");
    entry.content.format = FormatId::JSON;
    entry.content.schema = Some(Schema::new("thing", 1));
    a.set(&key, entry).await?;
    let content = a.get(&key).await?.hit("{}")?.meta.content;
    check(content.format == FormatId::JSON, "the format was lost")?;
    check(content.schema == Some(Schema::new("thing", 1)), "the schema was lost")
}

async fn names_are_binary(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let long = [b'n'; MAX_NAME];
    let names: [&[u8]; 11] = [b"a", b"a:", b":a", b"a:b", b":", b"\0", b"\0\0", b"\xff\xfe", b"a\r\nb", b"{a}b", &long];
    for (at, name) in names.iter().enumerate() {
        a.set(&case.key(name)?, value(&at.to_string())).await?;
    }
    for (at, name) in names.iter().enumerate() {
        a.get(&case.key(name)?).await?.hit(at.to_string())?;
    }
    Ok(())
}

async fn a_missing_key_is_a_miss(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    a.get(&case.key("k")?).await?.miss()
}

async fn tenants_are_apart(case: &Case<'_>) -> Outcome {
    are_apart(case, ("acme", "items"), ("bolt", "items")).await
}

async fn keyspaces_are_apart(case: &Case<'_>) -> Outcome {
    are_apart(case, ("acme", "items"), ("acme", "carts")).await
}

async fn the_shared_space_is_apart(case: &Case<'_>) -> Outcome {
    are_apart(case, ("", "items"), ("acme", "items")).await
}

/// Checks that the same name in two spaces is two entries, for every operation on one key.
async fn are_apart(case: &Case<'_>, one: (&str, &str), other: (&str, &str)) -> Outcome {
    let a = case.caller().await;
    let one = Address::plain(&case.space(one.0, one.1)?, "k")?;
    let other = Address::plain(&case.space(other.0, other.1)?, "k")?;
    a.set(&one, value("one")).await?;
    a.get(&other).await?.miss()?;
    check(!a.touch(&other, TouchKind::Probe).await?, "the other's value is seen by a probe")?;
    let lease = a.ask(&other).await?.leased()?;
    a.set(&one, value("one again")).await?;
    a.fill(&other, &lease, value("other")).await.and_then(super::expect::stored)?;
    a.get(&one).await?.hit("one again")?;
    a.get(&other).await?.hit("other")?;
    check(a.remove(&other).await?, "the other's value was not removed")?;
    a.get(&one).await?.hit("one again")?;
    Ok(())
}

async fn the_newest_value_is_read(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    let first = a.set(&key, value("1")).await?;
    a.get(&key).await?.hit("1")?;
    let second = a.set(&key, value("2")).await?;
    check(second > first, "the later write has no later version")?;
    a.get(&key).await?.hit("2")?;
    Ok(())
}

async fn versions_rise_across_a_removal(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    let first = a.set(&key, value("1")).await?;
    a.remove(&key).await?;
    let second = a.set(&key, value("2")).await?;
    check(second > first, "a version came back after a removal, so two writes look like one")
}

async fn another_handle_reads_it(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    b.get(&key).await?.miss()?;
    a.set(&key, value("1")).await?;
    b.get(&key).await?.hit("1")?;
    b.set(&key, value("2")).await?;
    a.get(&key).await?.hit("2")?;
    Ok(())
}

async fn a_removed_value_is_gone(case: &Case<'_>) -> Outcome {
    let (a, b) = (case.caller().await, case.caller().await);
    let key = case.key("k")?;
    a.set(&key, value("v")).await?;
    b.get(&key).await?.hit("v")?;
    a.remove(&key).await?;
    a.get(&key).await?.miss()?;
    b.get(&key).await?.miss()?;
    b.ask(&key).await?.leased()?;
    Ok(())
}

async fn removal_says_whether_there_was_one(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    check(!a.remove(&key).await?, "a missing entry was said to be removed")?;
    let start = case.now();
    a.set(&key, value("v")).await?;
    check(a.remove(&key).await?, "a live entry was said to be missing")?;
    check(!a.remove(&key).await?, "an entry was said to be removed twice")?;
    a.set(&key, NewEntry::new("v", case.ttl(2)?)).await?;
    case.until(start, case.units(3)).await;
    check(!a.remove(&key).await?, "an expired entry was said to be removed")
}

async fn existence_is_probed(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    check(!a.touch(&key, TouchKind::Probe).await?, "a missing key exists")?;
    let start = case.now();
    a.set(&key, NewEntry::new("v", case.ttl(10)?)).await?;
    check(a.touch(&key, TouchKind::Probe).await?, "a live key does not exist")?;
    case.until(start, case.units(10)).await;
    check(!a.touch(&key, TouchKind::Probe).await?, "an expired key exists")?;
    let op = asking(&key, None, OnMiss::Lease);
    a.read(op).await?;
    check(!a.touch(&key, TouchKind::Probe).await?, "a key exists because it is leased")
}

async fn what_must_be_sealed_is_not_stored_bare(case: &Case<'_>) -> Outcome {
    case.needs_unsealed()?;
    let a = case.caller().await;
    let key = case.key("k")?;
    let mut entry = NewEntry::new("secret", Lifetime::UNLIMITED);
    entry.options.encrypt = Some(true);
    let items = OneOrMany::One(SetItem { address: key.clone(), entry, when: When::Always });
    // A guard may refuse the item or, as nothing else was asked, the call.
    let answer = a.run(Set { items, scope: Scope::default() }).await;
    fails(answer.and_then(|items| items.into_iter().collect::<Result<Vec<_>, _>>()), ErrorKind::Unsupported)?;
    a.get(&key).await?.miss()
}

async fn explanations_agree_with_reads_and_change_nothing(case: &Case<'_>) -> Outcome {
    let a = case.caller().await;
    let key = case.key("k")?;
    check(!a.explains(&key).await?, "a key that was never stored is said to be there")?;
    a.ask(&key).await?.leased()?;
    a.set(&key, value("v")).await?;
    check(a.explains(&key).await?, "a value that is there is said not to be")?;
    a.get(&key).await?.hit("v")?;
    a.remove(&key).await?;
    check(!a.explains(&key).await?, "a value that was removed is said to be there")?;
    a.ask(&key).await?.leased()?;
    a.set(&key, lasting("w", case.ttl(2)?)).await?;
    check(a.explains(&key).await?, "a value that is fresh is said not to be there")?;
    case.advance(case.units(3)).await;
    check(!a.explains(&key).await?, "a value that has expired is said to be there")?;
    a.get(&key).await?.miss()
}
