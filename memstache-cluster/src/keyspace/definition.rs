//! A keyspace's settings as they travel to other nodes: all but code and warm keys.
//!
//! Settings that are as they are by default are left out, and fields that a build does not know are skipped: nodes of
//! different versions agree as long as nothing new is set.

use std::{str::FromStr as _, sync::Arc, time::Duration};

use bytes::Bytes;
use memstache_core::{
    Error, ErrorKind, FormatId, KeyspaceName, PolicyKind, Result,
    resilience::{BreakerConfig, Probing},
};

use super::{KeySpace, RateLimit, Settings};
use crate::{problems::Problems, wire::varint};

/// Most bytes of a definition.
pub(crate) const MAX_DEFINITION: usize = 4096;

// Definition: fields in the order of their tags, each once:
//   1  tag
//   1  length
//   n  content; "v" is a canonical LEB128 number, "ns" one of nanoseconds
//
//    1 max_bytes       v                     9 refresh_ahead  8, the bits of a float
//    2 policy          its name             10 early_refresh  8, the bits of a float
//    3 default_ttl     ns                   11 max_loads      v
//    4 negative_ttl    ns                   12 format         1
//    5 read_timeout    ns                   13 rate_limit     v a second; v burst; ns wait
//    6 write_timeout   ns                   14 breaker        v failures in a row, plus one, or 0;
//    7 load_timeout    ns                                     8 ratio, or 0; v least calls; ns window;
//    8 stale_for       ns                                     ns open for; v probes
//   15 source          nothing: the keyspace has one
//   16 replicas        v
const MAX_BYTES: u8 = 1;
const POLICY: u8 = 2;
const DEFAULT_TTL: u8 = 3;
const NEGATIVE_TTL: u8 = 4;
const READ_TIMEOUT: u8 = 5;
const WRITE_TIMEOUT: u8 = 6;
const LOAD_TIMEOUT: u8 = 7;
const STALE_FOR: u8 = 8;
const REFRESH_AHEAD: u8 = 9;
const EARLY_REFRESH: u8 = 10;
const MAX_LOADS: u8 = 11;
const FORMAT: u8 = 12;
const RATE_LIMIT: u8 = 13;
const BREAKER: u8 = 14;
const SOURCE: u8 = 15;
const REPLICAS: u8 = 16;

impl KeySpace {
    /// Returns what of the settings travels.
    pub(crate) fn definition(&self) -> Bytes {
        let (own, usual) = (&*self.0, Settings::usual(self.0.name.clone()));
        let mut fields = Fields::default();
        let spans = [
            (DEFAULT_TTL, own.default_ttl),
            (NEGATIVE_TTL, own.negative_ttl),
            (READ_TIMEOUT, own.read_timeout),
            (WRITE_TIMEOUT, own.write_timeout),
            (LOAD_TIMEOUT, Some(own.load_timeout).filter(|span| *span != usual.load_timeout)),
            (STALE_FOR, Some(own.stale_for).filter(|span| *span != usual.stale_for)),
        ];
        if own.max_bytes != usual.max_bytes {
            fields.add(MAX_BYTES, |out| varint::write(own.max_bytes as u64, out));
        }
        if own.policy != usual.policy {
            fields.add(POLICY, |out| out.extend_from_slice(own.policy.as_str().as_bytes()));
        }
        for (tag, span) in spans {
            if let Some(span) = span {
                fields.add(tag, |out| put_span(span, out));
            }
        }
        for (tag, part) in [(REFRESH_AHEAD, own.refresh_ahead), (EARLY_REFRESH, own.early_refresh)] {
            if let Some(part) = part {
                fields.add(tag, |out| out.extend_from_slice(&part.to_bits().to_be_bytes()));
            }
        }
        if own.max_loads != usual.max_loads {
            fields.add(MAX_LOADS, |out| varint::write(own.max_loads as u64, out));
        }
        if own.format != usual.format {
            fields.add(FORMAT, |out| out.push(own.format.0));
        }
        if let Some(limit) = own.rate_limit {
            fields.add(RATE_LIMIT, |out| put_limit(limit, out));
        }
        if let Some(breaker) = own.breaker {
            fields.add(BREAKER, |out| put_breaker(breaker, out));
        }
        if own.source.is_some() {
            fields.add(SOURCE, |_| {});
        }
        if own.replicas != usual.replicas {
            fields.add(REPLICAS, |out| varint::write(own.replicas as u64, out));
        }
        fields.0.into()
    }
}

/// A keyspace's settings as another node has them.
pub(crate) struct Definition {
    settings: Settings,
    pub(crate) has_source: bool,
}

impl Definition {
    /// Reads what another node says. Errors: `Protocol` for bytes that no node would write.
    pub(crate) fn read(name: &KeyspaceName, bytes: &[u8]) -> Result<Self> {
        let mut definition = Self { settings: Settings::usual(name.clone()), has_source: false };
        let (mut rest, mut last) = (bytes, 0);
        if bytes.len() > MAX_DEFINITION {
            return Err(malformed());
        }
        while let Some((tag, after)) = rest.split_first() {
            let (len, after) = after.split_first().ok_or_else(malformed)?;
            let (mut content, after) = after.split_at_checked(usize::from(*len)).ok_or_else(malformed)?;
            if *tag <= last {
                return Err(malformed());
            }
            definition.take(*tag, &mut content).ok_or_else(malformed)?;
            (rest, last) = (after, *tag);
        }
        Ok(definition)
    }

    /// Takes one field; `None` if it cannot be read.
    fn take(&mut self, tag: u8, content: &mut &[u8]) -> Option<()> {
        let settings = &mut self.settings;
        match tag {
            MAX_BYTES => settings.max_bytes = usize::try_from(varint::read(content)?).ok()?,
            POLICY => {
                settings.policy = PolicyKind::from_str(std::str::from_utf8(std::mem::take(content)).ok()?).ok()?
            }
            DEFAULT_TTL => settings.default_ttl = Some(get_span(content)?),
            NEGATIVE_TTL => settings.negative_ttl = Some(get_span(content)?),
            READ_TIMEOUT => settings.read_timeout = Some(get_span(content)?),
            WRITE_TIMEOUT => settings.write_timeout = Some(get_span(content)?),
            LOAD_TIMEOUT => settings.load_timeout = get_span(content)?,
            STALE_FOR => settings.stale_for = get_span(content)?,
            REFRESH_AHEAD => settings.refresh_ahead = Some(get_float(content)?),
            EARLY_REFRESH => settings.early_refresh = Some(get_float(content)?),
            MAX_LOADS => settings.max_loads = usize::try_from(varint::read(content)?).ok()?,
            FORMAT => {
                let (format, rest) = content.split_first()?;
                (settings.format, *content) = (FormatId(*format), rest);
            }
            RATE_LIMIT => settings.rate_limit = Some(get_limit(content)?),
            BREAKER => settings.breaker = Some(get_breaker(content)?),
            SOURCE => self.has_source = true,
            REPLICAS => settings.replicas = usize::try_from(varint::read(content)?).ok()?,
            // Of a later version: what it asks for, this build does not do.
            _ => *content = &[],
        }
        content.is_empty().then_some(())
    }

    /// Makes the keyspace of it, with the code that this node was given; `None` if it needs a source and none was given here.
    ///
    /// Errors: settings out of their limits.
    pub(crate) fn with_code_of(self, own: Option<&KeySpace>) -> Result<Option<KeySpace>> {
        let mut settings = self.settings;
        if self.has_source {
            let Some(own) = own.filter(|own| own.has_source()) else { return Ok(None) };
            settings.source.clone_from(&own.0.source);
            settings.expiry.clone_from(&own.0.expiry);
            settings.layers.clone_from(&own.0.layers);
            settings.warm_keys.clone_from(&own.0.warm_keys);
        }
        let mut problems = Problems::default();
        settings.check(&mut problems);
        problems.finish()?;
        Ok(Some(KeySpace(Arc::new(settings))))
    }
}

#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn add(&mut self, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
        self.0.extend_from_slice(&[tag, 0]);
        let at = self.0.len();
        write(&mut self.0);
        self.0[at - 1] = u8::try_from(self.0.len() - at).expect("no field is long");
    }
}

fn put_span(span: Duration, out: &mut Vec<u8>) {
    // Spans are checked to be at most ten years.
    varint::write(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX), out);
}

fn get_span(content: &mut &[u8]) -> Option<Duration> {
    varint::read(content).map(Duration::from_nanos)
}

fn get_float(content: &mut &[u8]) -> Option<f64> {
    let (bits, rest) = content.split_first_chunk()?;
    *content = rest;
    Some(f64::from_bits(u64::from_be_bytes(*bits)))
}

fn small(content: &mut &[u8]) -> Option<u32> {
    u32::try_from(varint::read(content)?).ok()
}

fn put_limit(limit: RateLimit, out: &mut Vec<u8>) {
    let (rate, burst) = limit.rate();
    varint::write(rate.into(), out);
    varint::write(burst.into(), out);
    put_span(limit.wait(), out);
}

fn get_limit(content: &mut &[u8]) -> Option<RateLimit> {
    let limit = RateLimit::per_second(small(content)?).with_burst(small(content)?);
    Some(limit.with_wait(get_span(content)?))
}

fn put_breaker(breaker: BreakerConfig, out: &mut Vec<u8>) {
    varint::write(breaker.consecutive_failures().map_or(0, |count| u64::from(count) + 1), out);
    let (ratio, least, window) = breaker.failure_rate().unwrap_or((0.0, 0, Duration::ZERO));
    out.extend_from_slice(&ratio.to_bits().to_be_bytes());
    varint::write(least, out);
    put_span(window, out);
    put_span(breaker.open_for(), out);
    varint::write(breaker.probes().into(), out);
}

/// One that is probed by requests: others are none of a data source.
fn get_breaker(content: &mut &[u8]) -> Option<BreakerConfig> {
    let breaker = BreakerConfig::source().with_probing(Probing::Requests);
    let breaker = match small(content)?.checked_sub(1) {
        None => breaker.without_consecutive_failures(),
        Some(count) => breaker.with_consecutive_failures(count),
    };
    let (ratio, least, window) = (get_float(content)?, varint::read(content)?, get_span(content)?);
    let breaker = match (ratio.to_bits(), least) {
        (0, 0) => breaker.without_failure_rate(),
        _ => breaker.with_failure_rate(ratio, least, window),
    };
    Some(breaker.with_open_for(get_span(content)?).with_probes(small(content)?))
}

fn malformed() -> Error {
    Error::new(ErrorKind::Protocol, "a peer sent a keyspace's definition that cannot be read")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Key, KeySpaceBuilder, source_fn};

    fn sourced() -> KeySpaceBuilder {
        KeySpace::builder("k").source(source_fn(|_: Key| async { Ok(None) }))
    }

    fn everything() -> KeySpace {
        let secs = Duration::from_secs;
        sourced()
            .max_bytes(1 << 20)
            .policy(PolicyKind::S3Fifo)
            .default_ttl(secs(60))
            .negative_ttl(secs(5))
            .read_timeout(secs(1))
            .write_timeout(secs(2))
            .load_timeout(secs(3))
            .stale_for(Duration::from_nanos(1))
            .refresh_ahead(0.8)
            .early_refresh(2.0)
            .max_loads(7)
            .replicas(3)
            .format(FormatId::JSON)
            .rate_limit(RateLimit::per_second(500).with_burst(100).with_wait(Duration::from_millis(50)))
            .breaker(BreakerConfig::source().without_failure_rate().with_consecutive_failures(3).with_probes(2))
            .warm_keys(["a"])
            .layers(|store| memstache_core::Stack::over(store).build())
            .build()
            .unwrap()
    }

    #[test]
    fn what_travels_comes_back_and_code_is_this_nodes() {
        let (all, plain) = (everything(), sourced().warm_keys(["b", "c"]).build().unwrap());
        let read = |bytes: &[u8]| Definition::read(all.name(), bytes).unwrap();
        let taken = read(&all.definition()).with_code_of(Some(&plain)).unwrap().unwrap();
        assert_eq!(taken.definition(), all.definition());
        assert_eq!(taken.0.breaker, all.0.breaker);
        assert_eq!((taken.0.rate_limit, taken.0.stale_for), (all.0.rate_limit, all.0.stale_for));
        assert_eq!(taken.0.warm_keys, plain.0.warm_keys);
        assert!(taken.0.layers.is_none());
        assert!(read(&all.definition()).with_code_of(None).unwrap().is_none(), "a source cannot travel");
        let bare = KeySpace::builder("k").build().unwrap();
        assert_eq!(bare.definition().len(), 0, "what is as usual takes no room");
        assert!(read(&all.definition()).with_code_of(Some(&bare)).unwrap().is_none());
        assert!(!read(&bare.definition()).with_code_of(Some(&all)).unwrap().unwrap().has_source());
        let default = sourced().breaker(BreakerConfig::source()).build().unwrap();
        let back = read(&default.definition()).with_code_of(Some(&default)).unwrap().unwrap();
        assert_eq!(back.0.breaker, Some(BreakerConfig::source()));
    }

    #[test]
    fn what_is_of_a_later_version_is_skipped_and_what_is_wrong_refused() {
        let name = KeyspaceName::new("k").unwrap();
        let mut later = everything().definition().to_vec();
        later.extend_from_slice(&[200, 2, 7, 7]);
        assert!(Definition::read(&name, &later).is_ok());
        for wrong in [
            &[1][..],
            &[1, 5],
            &[1, 0],
            &[1, 2, 0x80, 0],
            &[1, 2, 1, 1],
            &[3, 1, 1, 1, 1, 1],
            &[2, 1, b'x'],
            &[0, 0],
            &[15, 1, 0],
            &vec![0; MAX_DEFINITION + 1],
        ] {
            assert_eq!(Definition::read(&name, wrong).err().map(|error| error.kind()), Some(ErrorKind::Protocol));
        }
        let small = Definition::read(&name, &[1, 1, 1]).unwrap().with_code_of(None).unwrap_err();
        assert!(small.to_string().contains("max_bytes"), "{small}");
        let sourceless = Definition::read(&name, &[4, 1, 9]).unwrap().with_code_of(None).unwrap_err();
        assert!(sourceless.to_string().contains("negative_ttl"), "{sourceless}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let own = everything();
            if let Ok(definition) = Definition::read(own.name(), &bytes)
                && let Ok(Some(keyspace)) = definition.with_code_of(Some(&own))
            {
                let again = Definition::read(own.name(), &keyspace.definition()).unwrap();
                prop_assert_eq!(again.with_code_of(Some(&own)).unwrap().unwrap().definition(), keyspace.definition());
            }
        }
    }
}
