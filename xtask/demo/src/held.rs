//! What a shop's products take in the store, as its plan counts it.

use anyhow::{Context as _, Result};
use indicatif::{BinaryBytes, HumanCount};
use memstache_redis::RedisUsage;

use crate::{cache::Caches, store::Kept};

/// Keys that are looked at to tell what a shop holds: with 20 shops alike, entries are off by a seventh at most.
const LOOKED_AT: usize = 4096;

/// What the shop holds that holds most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) shop: String,
    /// Exactly, or as was thought before the sample.
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    /// Bytes that its plan allows.
    pub(crate) most: u64,
    /// Bytes and entries by a sample, where the store keeps no account.
    pub(crate) sampled: Option<(u64, u64)>,
}

/// Tells what the shop holds that holds most; a sample puts right what was thought of one in Redis.
pub(crate) async fn held(caches: &Caches) -> Result<Held> {
    let all = caches.tenants.top(usize::MAX);
    let (shop, usage) = all.into_iter().max_by_key(|(_, usage)| usage.bytes).context("no shop has asked")?;
    let most = usage.plan.as_ref().and_then(|plan| plan.bytes()).context("a shop has no plan")?;
    let sampled = match &caches.store {
        Kept::Memory(_) => None,
        Kept::Redis(store) => {
            let sampler = RedisUsage::new(store.clone()).sampled_keys(LOOKED_AT)?;
            let sample = caches.tenants.sample(&sampler, &shop).await.context("what a shop holds in Redis")?;
            Some((sample.bytes, sample.entries))
        }
    };
    Ok(Held { shop: shop.as_str().to_owned(), bytes: usage.bytes, entries: usage.entries, most, sampled })
}

impl Held {
    /// What a person is told.
    pub(crate) fn told(&self) -> String {
        let Self { shop, bytes, entries, most, sampled } = self;
        let size = |bytes: u64, entries: u64| format!("{} in {} entries", BinaryBytes(bytes), HumanCount(entries));
        let (most, counted) = (BinaryBytes(*most), size(*bytes, *entries));
        match sampled {
            None => format!("quota      {shop} holds {counted} of {most}, counted exactly"),
            Some((bytes, entries)) => {
                let sampled = size(*bytes, *entries);
                format!("quota      {shop} is thought to hold {counted} of {most}; a sample of the keys says {sampled}")
            }
        }
    }

    /// What is not as it should be.
    pub(crate) fn judge(&self, must: &mut impl FnMut(bool, String)) {
        let Self { shop, bytes, entries, most, sampled } = self;
        must(*entries > 0 && *bytes > 0, format!("{shop}, which holds most, is said to hold nothing"));
        let bytes = sampled.map_or(*bytes, |(sampled, _)| sampled.min(*bytes));
        must(bytes <= *most, format!("{shop} holds {bytes} bytes, and its plan allows {most}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(bytes: u64, entries: u64, sampled: Option<(u64, u64)>) -> Held {
        Held { shop: "shop-01".to_owned(), bytes, entries, most: 1 << 20, sampled }
    }

    #[test]
    fn it_is_told_whether_it_was_counted_or_sampled() {
        assert_eq!(
            held(2048, 7, None).told(),
            "quota      shop-01 holds 2.00 KiB in 7 entries of 1.00 MiB, counted exactly"
        );
        assert_eq!(
            held(2048, 7, Some((1024, 5))).told(),
            "quota      shop-01 is thought to hold 2.00 KiB in 7 entries of 1.00 MiB; a sample of the keys says 1.00 KiB \
             in 5 entries"
        );
    }

    #[test]
    fn nothing_and_too_much_are_faults() {
        let faults = |held: Held| {
            let mut faults = Vec::new();
            held.judge(&mut |holds, fault| faults.extend((!holds).then_some(fault)));
            faults
        };
        assert_eq!(faults(held(1 << 20, 7, None)), Vec::<String>::new());
        assert_eq!(faults(held(2 << 20, 7, Some((4096, 7)))), Vec::<String>::new(), "the sample says less");
        assert_eq!(faults(held(0, 0, None)), ["shop-01, which holds most, is said to hold nothing"]);
        assert_eq!(faults(held((1 << 20) + 1, 7, None)), ["shop-01 holds 1048577 bytes, and its plan allows 1048576"]);
    }
}
