//! The versions of one key, and what each may do at a moment: pure, without clocks, keys or records.

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use memstache_core::{Error, ErrorKind, Result};

use super::settings::millis;
use crate::key::KeyId;

/// The most versions that a line remembers, those included that are gone.
pub(crate) const MAX_VERSIONS: usize = 64;

/// What a version of a key may do.
///
/// ```text
/// PreActive ──clock──> Active ──clock──> DecryptOnly ──age──> Retired
///     └──────────────────┴───────revoke──────┴──> Revoked
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// Known to the nodes, so that they open what others seal with it; not yet used to seal.
    PreActive,
    /// The one that seals.
    Active,
    /// Opens what it sealed before.
    DecryptOnly,
    /// Gone: nothing that it sealed can be alive any more.
    Retired,
    /// Gone at once: what it sealed does not open any more.
    Revoked,
}

/// Milliseconds since the Unix epoch.
pub(crate) type Millis = u64;

/// How a version ended, if it did; its wrapped key is gone then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Live,
    Revoked(Millis),
    Retired(Millis),
}

/// One version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) number: u32,
    pub(crate) id: KeyId,
    pub(crate) created_at: Millis,
    pub(crate) activate_at: Millis,
    pub(crate) fate: Fate,
    /// Empty once the version ended.
    pub(crate) wrapped: Bytes,
}

impl Version {
    pub(crate) fn is_live(&self) -> bool {
        self.fate == Fate::Live
    }

    /// Whether it was, is or will be active: not if it was revoked before its time.
    fn counts(&self) -> bool {
        match self.fate {
            Fate::Live | Fate::Retired(_) => true,
            Fate::Revoked(at) => at >= self.activate_at,
        }
    }

    fn end(&mut self, fate: Fate) {
        self.fate = fate;
        self.wrapped = Bytes::new();
    }
}

/// How long a version is kept after another took its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retention {
    /// The longest lifetime of what is sealed.
    pub(crate) max_entry_ttl: Duration,
    /// How far the clocks of two nodes may be apart.
    pub(crate) max_skew: Duration,
    /// How long a node that hears of nothing new goes on sealing.
    pub(crate) max_lag: Duration,
}

impl Retention {
    /// The last entry is sealed by a node that hears of nothing (`max_lag`), or whose clock is behind (a skew), lives for
    /// `max_entry_ttl`, and the clock of the node that retires may be ahead (another skew).
    pub(crate) fn span(&self) -> Millis {
        millis(self.max_entry_ttl).saturating_add(millis(self.max_lag)).saturating_add(millis(2 * self.max_skew))
    }
}

/// All versions of one key, in order of their numbers.
///
/// Which one is active follows from the clock alone, so that all nodes switch without talking. The active one is the last
/// whose time has come. If that one was revoked, the next live one stands in before its time; an earlier one never
/// becomes active again, because its retirement is counted from when it stopped to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    versions: Vec<Version>,
}

impl Line {
    /// Checks that numbers rise, activations do not fall, and ids differ.
    pub(crate) fn from_versions(versions: Vec<Version>) -> Option<Self> {
        let rising = versions
            .windows(2)
            .all(|pair| pair[0].number < pair[1].number && pair[0].activate_at <= pair[1].activate_at);
        let distinct =
            versions.iter().enumerate().all(|(at, one)| versions[..at].iter().all(|other| other.id != one.id));
        let fits = versions.len() <= MAX_VERSIONS && versions.iter().all(|one| one.is_live() != one.wrapped.is_empty());
        (rising && distinct && fits).then_some(Self { versions })
    }

    pub(crate) fn versions(&self) -> &[Version] {
        &self.versions
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Version> {
        self.versions.iter().filter(|version| version.is_live())
    }

    #[cfg(test)]
    pub(crate) fn get(&self, id: KeyId) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == id)
    }

    /// The version that seals at a moment.
    pub(crate) fn active(&self, now: Millis) -> Option<&Version> {
        self.active_at(now).map(|at| &self.versions[at])
    }

    fn active_at(&self, now: Millis) -> Option<usize> {
        let last = self.versions.iter().rposition(|version| version.activate_at <= now && version.counts());
        let from = last.unwrap_or(0);
        (from..self.versions.len()).find(|at| self.versions[*at].is_live())
    }

    /// The state of a version at a moment; `None` for an id that the line does not know.
    pub(crate) fn state(&self, id: KeyId, now: Millis) -> Option<KeyState> {
        let at = self.versions.iter().position(|version| version.id == id)?;
        Some(match self.versions[at].fate {
            Fate::Revoked(_) => KeyState::Revoked,
            Fate::Retired(_) => KeyState::Retired,
            Fate::Live => match self.active_at(now) {
                Some(active) if active == at => KeyState::Active,
                Some(active) if active < at => KeyState::PreActive,
                _ => KeyState::DecryptOnly,
            },
        })
    }

    /// When another version becomes active by the clock alone.
    pub(crate) fn next_switch(&self, now: Millis) -> Option<Millis> {
        let active = self.active_at(now)?;
        let after = self.versions[active + 1..].iter();
        after.filter(|version| version.is_live()).map(|version| version.activate_at).find(|at| *at > now)
    }

    /// The newest version that is live, active or not yet.
    pub(crate) fn newest(&self) -> Option<&Version> {
        self.versions.iter().rev().find(|version| version.is_live())
    }

    /// Returns the number that the next version has to take.
    pub(crate) fn next_number(&self) -> u32 {
        self.versions.last().map_or(1, |version| version.number.saturating_add(1))
    }

    /// Adds a version that becomes active at a moment, or as soon as all earlier ones have.
    ///
    /// A line that is full forgets its oldest version if that one has ended.
    /// Error: [`Overloaded`](ErrorKind::Overloaded) when it is not.
    pub(crate) fn add(&mut self, mut version: Version) -> Result<()> {
        if self.versions.len() >= MAX_VERSIONS {
            if self.versions[0].is_live() {
                let detail = format!("a key has at most {MAX_VERSIONS} versions: retire the oldest first");
                return Err(Error::new(ErrorKind::Overloaded, detail));
            }
            self.versions.remove(0);
        }
        version.number = self.next_number();
        let last = self.versions.last().map_or(0, |version| version.activate_at);
        version.activate_at = version.activate_at.max(last);
        self.versions.push(version);
        Ok(())
    }

    /// Ends a version at once, whatever its state. Returns whether there was one to end.
    pub(crate) fn revoke(&mut self, id: KeyId, now: Millis) -> bool {
        self.end(id, Fate::Revoked(now))
    }

    /// Ends a version that no live entry needs. Returns whether there was one to end.
    pub(crate) fn retire(&mut self, id: KeyId, now: Millis) -> bool {
        self.end(id, Fate::Retired(now))
    }

    fn end(&mut self, id: KeyId, fate: Fate) -> bool {
        let found = self.versions.iter_mut().find(|version| version.id == id && version.is_live());
        found.map(|version| version.end(fate)).is_some()
    }

    /// The versions that nothing alive can need any more.
    pub(crate) fn due(&self, now: Millis, retention: Retention) -> Vec<KeyId> {
        let live = self.versions.iter().enumerate().filter(|(_, version)| version.is_live());
        live.filter(|(at, _)| self.replaced_at(*at, now).is_some_and(|since| since + retention.span() <= now))
            .map(|(_, version)| version.id)
            .collect()
    }

    /// Since when another version is active in its place; `None` while none is.
    fn replaced_at(&self, at: usize, now: Millis) -> Option<Millis> {
        let active = self.active_at(now)?;
        if active <= at {
            return None;
        }
        let next = self.versions[at + 1..=active].iter().find(|version| version.counts())?;
        // The last promise counts: who did not hear of it seals with this one until then.
        (next.activate_at <= now).then_some(next.activate_at.max(next.created_at))
    }

    /// Puts other wrapped keys in place of those that are live.
    pub(crate) fn rewrap<E>(&mut self, mut wrap: impl FnMut(&Version) -> Result<Bytes, E>) -> Result<(), E> {
        for version in self.versions.iter_mut().filter(|version| version.is_live()) {
            version.wrapped = wrap(version)?;
        }
        Ok(())
    }
}
