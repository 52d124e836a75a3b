//! What a write asks for, level over level.

use std::time::{Duration, SystemTime};

use crate::{
    entry::{EntryOptions, Tags},
    error::{Error, Result},
    lifetime::{Lifetime, bounded, positive},
    name::Tag,
};

/// When a value ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Until {
    /// So long after it is written.
    Ttl(Duration),
    /// At a wall-clock instant, turned into a ttl when it is written.
    At(SystemTime),
}

/// What one level (a loaded value, a call, the cache's defaults) says about a write.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    pub(crate) until: Option<Until>,
    pub(crate) sliding: Option<Duration>,
    pub(crate) stale_for: Option<Duration>,
    pub(crate) jitter: Option<f64>,
    pub(crate) tags: Vec<Tag>,
    /// The first tag that was not one.
    pub(crate) bad_tag: Option<Error>,
    pub(crate) compress: Option<bool>,
    pub(crate) encrypt: Option<bool>,
}

impl WriteOptions {
    pub(crate) fn add_tags<I: IntoIterator<Item: AsRef<str>>>(&mut self, tags: I) {
        for tag in tags {
            match Tag::new(tag) {
                Ok(tag) => self.tags.push(tag),
                Err(error) => drop(self.bad_tag.get_or_insert(error)),
            }
        }
    }

    /// Fills what this level leaves open from a lower one. Tags add up.
    pub(crate) fn over(mut self, lower: &Self) -> Self {
        self.sliding = self.sliding.or_else(|| inherited_window(lower.sliding, self.until));
        self.until = self.until.or(lower.until);
        self.stale_for = self.stale_for.or(lower.stale_for);
        self.jitter = self.jitter.or(lower.jitter);
        self.tags.extend_from_slice(&lower.tags);
        self.bad_tag = self.bad_tag.or_else(|| lower.bad_tag.clone());
        self.compress = self.compress.or(lower.compress);
        self.encrypt = self.encrypt.or(lower.encrypt);
        self
    }

    /// Resolves to a lifetime at wall-clock `now`; `random` in 0..1 spreads it.
    pub(crate) fn lifetime(&self, now: SystemTime, random: f64) -> Result<Lifetime> {
        let mut lifetime = Lifetime::UNLIMITED;
        match self.until {
            None => {}
            Some(Until::Ttl(ttl)) => lifetime = lifetime.with_ttl(ttl)?,
            Some(Until::At(instant)) => {
                let left = instant.duration_since(now).ok().filter(|left| !left.is_zero());
                let left = left.ok_or_else(|| Error::invalid("expires_at", "in the future", "a past instant"))?;
                lifetime = lifetime.with_ttl(bounded("expires_at", left)?)?;
            }
        }
        if let Some(window) = self.sliding {
            lifetime = lifetime.with_sliding(window)?;
        }
        let jitter = fraction("jitter", self.jitter.unwrap_or(0.0))?;
        Ok(lifetime.with_stale_for(self.stale_for.unwrap_or_default())?.jittered(jitter, random))
    }

    /// Everything that is wrong with a cache's defaults.
    pub(crate) fn wrong(&self, now: SystemTime) -> Vec<Error> {
        let ttl = if let Some(Until::Ttl(ttl)) = self.until { positive("ttl", ttl).err() } else { None };
        let sliding = self.sliding.and_then(|window| positive("sliding", window).err());
        let stale_for = self.stale_for.and_then(|grace| bounded("stale_for", grace).err());
        let jitter = self.jitter.and_then(|part| fraction("jitter", part).err());
        let mut wrong: Vec<Error> = [ttl, sliding, stale_for, jitter].into_iter().flatten().collect();
        if wrong.is_empty() {
            // Each by itself is right; do they agree?
            wrong.extend(self.lifetime(now, 0.0).err());
        }
        wrong
    }

    /// Whether its wall-clock end has passed.
    pub(crate) fn is_over(&self, now: SystemTime) -> bool {
        matches!(self.until, Some(Until::At(instant)) if instant <= now)
    }

    pub(crate) fn entry_options(&self) -> EntryOptions {
        EntryOptions { compress: self.compress, encrypt: self.encrypt }
    }

    pub(crate) fn checked_tags(&self) -> Result<Tags> {
        match &self.bad_tag {
            Some(error) => Err(error.clone()),
            None => Tags::new(self.tags.iter().cloned()),
        }
    }
}

/// A window from a lower level gives way to a ttl from a higher one; in the same level the two must agree.
fn inherited_window(window: Option<Duration>, until: Option<Until>) -> Option<Duration> {
    match until {
        Some(Until::Ttl(ttl)) => window.map(|window| window.min(ttl)),
        Some(Until::At(_)) => None,
        None => window,
    }
}

pub(crate) fn fraction(field: &str, value: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(Error::invalid(field, "from 0 to 1", value)) }
}

/// Checks a timeout: positive and not absurd.
pub(crate) fn timeout(field: &str, span: Duration) -> Result<Duration> {
    positive(field, span)
}

/// The setters that every builder of a write has.
macro_rules! write_setters {
    ($field:ident) => {
        /// Lives this long, from when it is stored. Default: the cache's.
        pub fn ttl(mut self, ttl: Duration) -> Self {
            self.$field.until = Some(Until::Ttl(ttl));
            self
        }

        /// Lives until this wall-clock instant, which must be in the future. Replaces `ttl`.
        pub fn expires_at(mut self, instant: SystemTime) -> Self {
            self.$field.until = Some(Until::At(instant));
            self
        }

        /// Expires when it was not read for this long; at most the ttl.
        pub fn sliding(mut self, window: Duration) -> Self {
            self.$field.sliding = Some(window);
            self
        }

        /// May be served stale for this long after it stopped being fresh.
        pub fn stale_for(mut self, grace: Duration) -> Self {
            self.$field.stale_for = Some(grace);
            self
        }

        /// Shortens the ttl by a random part of it, up to this fraction (0 to 1).
        pub fn jitter(mut self, fraction: f64) -> Self {
            self.$field.jitter = Some(fraction);
            self
        }

        /// Adds tags by which it can be invalidated: at most 32 of at most 128 bytes.
        pub fn tags<I: IntoIterator<Item: AsRef<str>>>(mut self, tags: I) -> Self {
            self.$field.add_tags(tags);
            self
        }

        /// Compresses it (`true`: whenever it helps) or not. Default: the compressing layer decides.
        pub fn compress(mut self, compress: bool) -> Self {
            self.$field.compress = Some(compress);
            self
        }

        /// Seals it or not. Default: the sealing layer decides; `true` fails where nothing seals.
        pub fn encrypt(mut self, encrypt: bool) -> Self {
            self.$field.encrypt = Some(encrypt);
            self
        }
    };
}
pub(crate) use write_setters;

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn ttl(secs: u64) -> WriteOptions {
        WriteOptions { until: Some(Until::Ttl(Duration::from_secs(secs))), ..WriteOptions::default() }
    }

    #[test]
    fn the_loaded_value_beats_the_call_beats_the_default() {
        let resolve = |options: WriteOptions| options.lifetime(SystemTime::UNIX_EPOCH, 0.0).unwrap().ttl();
        assert_eq!(resolve(ttl(1).over(&ttl(2)).over(&ttl(3))), Some(secs(1)));
        assert_eq!(resolve(WriteOptions::default().over(&ttl(2)).over(&ttl(3))), Some(secs(2)));
        assert_eq!(resolve(WriteOptions::default().over(&WriteOptions::default()).over(&ttl(3))), Some(secs(3)));
    }

    #[test]
    fn an_inherited_window_gives_way_and_an_own_one_must_fit() {
        let default = WriteOptions { sliding: Some(secs(60)), ..ttl(600) };
        let lifetime = ttl(10).over(&default).lifetime(SystemTime::UNIX_EPOCH, 0.0).unwrap();
        assert_eq!((lifetime.ttl(), lifetime.sliding()), (Some(secs(10)), Some(secs(10))));
        let own = WriteOptions { sliding: Some(secs(60)), ..ttl(10) };
        assert!(own.over(&default).lifetime(SystemTime::UNIX_EPOCH, 0.0).is_err());
    }

    #[test]
    fn expires_at_becomes_a_ttl_at_the_call() {
        let now = SystemTime::UNIX_EPOCH + secs(1000);
        let at = |secs| WriteOptions {
            until: Some(Until::At(SystemTime::UNIX_EPOCH + Duration::from_secs(secs))),
            ..WriteOptions::default()
        };
        assert_eq!(at(1060).lifetime(now, 0.0).unwrap().ttl(), Some(secs(60)));
        let error = at(1000).lifetime(now, 0.0).unwrap_err();
        assert_eq!(error.to_string(), "expires_at must be in the future, but a past instant was given");
    }

    #[test]
    fn tags_add_up_and_the_first_bad_one_is_kept() {
        let mut call = WriteOptions::default();
        call.add_tags(["b", "a"]);
        let mut loaded = WriteOptions::default();
        loaded.add_tags(["c"]);
        assert_eq!(loaded.clone().over(&call).checked_tags().unwrap().as_slice().len(), 3);
        loaded.add_tags([""]);
        assert!(loaded.over(&call).checked_tags().unwrap_err().to_string().starts_with("tag must be"));
    }
}
