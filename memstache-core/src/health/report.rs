//! What is told of health.

use std::{borrow::Cow, fmt, time::Duration};

/// How well something works; the greater, the worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Condition {
    /// All of it works.
    #[default]
    Healthy,
    /// It works in part, or close to its limits.
    Degraded,
    /// It does not work.
    Down,
}

impl Condition {
    /// Returns the condition's name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How one part is: its condition, since when, why, and numbers that say more.
///
/// ```
/// use std::time::Duration;
/// use memstache_core::{Condition, PartHealth};
///
/// let part = PartHealth::healthy("breaker").with("state", "open").down("the server does not answer");
/// let part = part.since(Duration::from_secs(12));
/// assert_eq!(part.condition, Condition::Down);
/// assert_eq!(part.to_string(), "breaker: down for 12s, the server does not answer (state open)");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PartHealth {
    /// The part's name.
    pub part: Cow<'static, str>,
    /// How it is.
    pub condition: Condition,
    /// For how long it has not been healthy, if that is known.
    pub since: Option<Duration>,
    /// Why it is not healthy; names no key and no secret.
    pub reason: Option<Cow<'static, str>>,
    /// What else is to be known, such as bytes held or the state of a breaker.
    pub values: Vec<(Cow<'static, str>, HealthValue)>,
}

impl PartHealth {
    /// Starts with a part that works.
    pub fn healthy(part: impl Into<Cow<'static, str>>) -> Self {
        Self { part: part.into(), condition: Condition::Healthy, since: None, reason: None, values: Vec::new() }
    }

    /// Says that it works in part, and why.
    #[must_use]
    pub fn degraded(self, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { condition: Condition::Degraded, reason: Some(reason.into()), ..self }
    }

    /// Says that it does not work, and why.
    #[must_use]
    pub fn down(self, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { condition: Condition::Down, reason: Some(reason.into()), ..self }
    }

    /// Says for how long it has been so.
    #[must_use]
    pub fn since(self, span: Duration) -> Self {
        Self { since: Some(span), ..self }
    }

    /// Adds something that is to be known.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<HealthValue>) -> Self {
        self.values.push((name.into(), value.into()));
        self
    }
}

impl fmt::Display for PartHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.condition)?;
        if let Some(since) = self.since {
            write!(f, " for {since:?}")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, ", {reason}")?;
        }
        for (at, (name, value)) in self.values.iter().enumerate() {
            write!(f, "{}{name} {value}", if at == 0 { " (" } else { ", " })?;
        }
        if self.values.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

/// A number or a word about a part.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum HealthValue {
    /// A count, or bytes.
    Count(u64),
    /// Any other number.
    Number(f64),
    /// A state's name.
    Text(Cow<'static, str>),
    /// Yes or no.
    Flag(bool),
}

impl fmt::Display for HealthValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
        }
    }
}

impl From<u64> for HealthValue {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<u32> for HealthValue {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<usize> for HealthValue {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<f64> for HealthValue {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for HealthValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<&'static str> for HealthValue {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for HealthValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// How a whole stack is: as its worst part.
///
/// A cache that is degraded or down does not take its service down: loaders answer what it cannot. Let readiness depend on
/// it only where the source could not bear all requests. `Display` has a line for each part. It is [`serde::Serialize`]: a
/// map with `condition` and `parts`, each with `part`, `condition`, `since_ms`, `reason` and `values`.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct HealthReport {
    /// That of the worst part; healthy if there are no parts.
    pub condition: Condition,
    /// All parts that are watched, in the order of the stack.
    pub parts: Vec<PartHealth>,
}

impl HealthReport {
    /// Returns what a part of this name said; the first, if there are several.
    pub fn part(&self, name: &str) -> Option<&PartHealth> {
        self.parts.iter().find(|part| part.part == name)
    }
}

impl FromIterator<PartHealth> for HealthReport {
    fn from_iter<I: IntoIterator<Item = PartHealth>>(parts: I) -> Self {
        let parts: Vec<_> = parts.into_iter().collect();
        Self { condition: parts.iter().map(|part| part.condition).max().unwrap_or_default(), parts }
    }
}

impl fmt::Display for HealthReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.condition)?;
        self.parts.iter().try_for_each(|part| write!(f, "\n{part}"))
    }
}
