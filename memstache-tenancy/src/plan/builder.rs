//! A plan, checked as a whole.

use std::sync::Arc;

use memstache_core::{Error, ErrorKind, MAX_LABEL, Result, resilience::RateConfig};

use super::{Limits, MAX_WEIGHT, OverQuota, Plan, Rate};

/// Most loads at once, entries, and bytes that a plan can allow.
const MOST_LOADS: u32 = 1 << 20;
const MOST: u64 = 1 << 50;

/// Builds a [`Plan`].
#[derive(Clone, Debug)]
#[must_use = "nothing is checked before `build`"]
pub struct PlanBuilder {
    name: String,
    per_second: Option<u32>,
    burst: Option<u32>,
    loads: Option<u32>,
    bytes: Option<u64>,
    entries: Option<u64>,
    weight: u32,
    over_operations: OverQuota,
    over_bytes: OverQuota,
    over_entries: OverQuota,
}

impl PlanBuilder {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            per_second: None,
            burst: None,
            loads: None,
            bytes: None,
            entries: None,
            weight: 1,
            over_operations: OverQuota::Refuse,
            over_bytes: OverQuota::EvictOwn,
            over_entries: OverQuota::EvictOwn,
        }
    }

    /// Limits the operations a second, each key of a batch being one: 1 to 1,000,000. Default: no limit.
    ///
    /// Hits of a near cache through the handle cost nothing and are none; nor are the renewals, the release and the fill of
    /// a load, which belong to the read that began it.
    pub const fn operations_per_second(mut self, operations: u32) -> Self {
        self.per_second = Some(operations);
        self
    }

    /// Lets so many operations through at once: at least as many as in a millisecond, at most as many as in an hour. A
    /// batch of more is [`Invalid`](ErrorKind::Invalid). Default: as many as in a second.
    pub const fn burst(mut self, operations: u32) -> Self {
        self.burst = Some(operations);
        self
    }

    /// Limits how many loads run at once: 1 to 1,048,576; a batch is one. Default: no limit.
    pub const fn loads(mut self, loads: u32) -> Self {
        self.loads = Some(loads);
        self
    }

    /// Limits the bytes that are held: 1 KiB to 1 PiB. Default: no limit.
    pub const fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Limits the entries that are held: 1 to 2^50. Default: no limit.
    pub const fn entries(mut self, entries: u64) -> Self {
        self.entries = Some(entries);
        self
    }

    /// Sets the weight by which tenants share a store that is full: 1 to [`MAX_WEIGHT`]. Default: 1.
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets what happens over the limit of operations: `Refuse` or `ServeStale`. Default: `Refuse`.
    pub const fn over_operations(mut self, over: OverQuota) -> Self {
        self.over_operations = over;
        self
    }

    /// Sets what happens over the limit of bytes: `EvictOwn` or `Refuse`. Default: `EvictOwn`.
    pub const fn over_bytes(mut self, over: OverQuota) -> Self {
        self.over_bytes = over;
        self
    }

    /// Sets what happens over the limit of entries: `EvictOwn` or `Refuse`. Default: `EvictOwn`.
    pub const fn over_entries(mut self, over: OverQuota) -> Self {
        self.over_entries = over;
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), with everything that is wrong.
    pub fn build(self) -> Result<Plan> {
        let mut wrong = Vec::new();
        if let Err(error) = check_name(&self.name) {
            wrong.push(error);
        }
        let rate = self.rate().unwrap_or_else(|error| {
            wrong.push(error);
            None
        });
        let loads = u64::from(MOST_LOADS);
        wrong.extend(out_of("loads", self.loads.map(u64::from), 1, loads));
        wrong.extend(out_of("bytes", self.bytes, 1024, MOST));
        wrong.extend(out_of("entries", self.entries, 1, MOST));
        wrong.extend(out_of("weight", Some(self.weight.into()), 1, MAX_WEIGHT.into()));
        let (speed, room) = ([OverQuota::Refuse, OverQuota::ServeStale], [OverQuota::EvictOwn, OverQuota::Refuse]);
        wrong.extend(none_of("over_operations", self.over_operations, &speed));
        wrong.extend(none_of("over_bytes", self.over_bytes, &room));
        wrong.extend(none_of("over_entries", self.over_entries, &room));
        all_of(&wrong)?;
        let Self { name, loads, bytes, entries, weight, over_operations, over_bytes, over_entries, .. } = self;
        let name = Arc::from(name);
        Ok(Plan(Arc::new(Limits {
            name,
            rate,
            loads,
            bytes,
            entries,
            weight,
            over_operations,
            over_bytes,
            over_entries,
        })))
    }

    fn rate(&self) -> Result<Option<Rate>> {
        let Some(per_second) = self.per_second else {
            let needs = |burst| Err(Error::invalid("burst", "none without operations_per_second", burst));
            return self.burst.map_or(Ok(None), needs);
        };
        let burst = self.burst.unwrap_or(per_second);
        let config = RateConfig::per_second(per_second).with_burst(burst);
        config.check()?;
        Ok(Some(Rate { per_second, burst, config }))
    }
}

fn check_name(name: &str) -> Result<()> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > MAX_LABEL {
        let given = format_args!("{} bytes", name.len());
        return Err(Error::invalid("plan name", format_args!("1 to {MAX_LABEL} bytes long"), given));
    }
    match name.bytes().position(|byte| !good(byte)) {
        None => Ok(()),
        Some(at) => {
            let given = format_args!("another character at byte {at}");
            Err(Error::invalid("plan name", "made of A-Z a-z 0-9 . _ -", given))
        }
    }
}

fn out_of(field: &str, given: Option<u64>, least: u64, most: u64) -> Option<Error> {
    let given = given.filter(|given| !(least..=most).contains(given))?;
    Some(Error::invalid(field, format_args!("from {least} to {most}"), given))
}

fn none_of(field: &str, given: OverQuota, allowed: &[OverQuota]) -> Option<Error> {
    let names: Vec<_> = allowed.iter().map(|it| it.as_str()).collect();
    (!allowed.contains(&given)).then(|| Error::invalid(field, names.join(" or "), given))
}

/// One error for all that is wrong.
pub(crate) fn all_of(wrong: &[Error]) -> Result<()> {
    let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    if lines.is_empty() { Ok(()) } else { Err(Error::new(ErrorKind::Invalid, lines.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let plan = Plan::builder("a b")
            .operations_per_second(1_000_001)
            .loads(0)
            .bytes(1)
            .entries(0)
            .weight(0)
            .over_operations(OverQuota::EvictOwn)
            .over_bytes(OverQuota::ServeStale)
            .over_entries(OverQuota::ServeStale);
        let error = plan.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let told: Vec<_> = error.to_string().split("; ").map(str::to_owned).collect();
        assert_eq!(
            told,
            [
                "plan name must be made of A-Z a-z 0-9 . _ -, but another character at byte 1 was given",
                "rate per_second must be from 1 to 1000000, but 1000001 was given",
                "loads must be from 1 to 1048576, but 0 was given",
                "bytes must be from 1024 to 1125899906842624, but 1 was given",
                "entries must be from 1 to 1125899906842624, but 0 was given",
                "weight must be from 1 to 1000, but 0 was given",
                "over_operations must be refuse or serve-stale, but evict-own was given",
                "over_bytes must be evict-own or refuse, but serve-stale was given",
                "over_entries must be evict-own or refuse, but serve-stale was given",
            ]
        );
    }

    #[test]
    fn a_burst_needs_a_rate_and_is_a_seconds_worth_by_default() {
        let error = Plan::builder("a").burst(5).build().unwrap_err();
        assert_eq!(error.to_string(), "burst must be none without operations_per_second, but 5 was given");
        let plan = Plan::builder("a").operations_per_second(7).build().unwrap();
        assert_eq!((plan.operations_per_second(), plan.burst()), (Some(7), Some(7)));
        assert!(Plan::builder("x".repeat(65)).build().is_err());
    }

    #[test]
    fn nothing_is_limited_by_default() {
        let plan = Plan::builder("a").build().unwrap();
        assert_eq!((plan.operations_per_second(), plan.burst(), plan.loads()), (None, None, None));
        assert_eq!((plan.bytes(), plan.entries(), plan.weight()), (None, None, 1));
        assert_eq!(plan.over_operations(), OverQuota::Refuse);
        assert_eq!((plan.over_bytes(), plan.over_entries()), (OverQuota::EvictOwn, OverQuota::EvictOwn));
        assert!(format!("{plan:?}").starts_with("Plan { name: \"a\""));
        assert_eq!(
            OverQuota::ALL.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["evict-own", "refuse", "serve-stale"]
        );
    }
}
