//! A stack and its handles from files, environment variables and code (feature `config`).
//!
//! [`CacheConfig`] merges its sources, the later over the earlier. What can be chosen by name stands in a [`Registry`].
//! [`build`](CacheConfig::build) reads and checks everything and makes the stack, or tells everything that is wrong:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> memstache_core::Result<()> {
//! use memstache_core::config::{CacheConfig, Registry};
//!
//! let text = r#"
//!     [cache]
//!     ttl = "10m"
//!     stale_for = "1m"
//!
//!     [keyspaces.sessions]
//!     sliding = "5m"
//!
//!     [backend]
//!     kind = "memory"
//!     max_bytes = "32 MiB"
//!     policy = "s3-fifo"
//!
//!     [near]
//!     max_bytes = "4 MiB"
//! "#;
//! let config = CacheConfig::new().toml(text).set("backend.max_bytes", "16 MiB").env();
//! let configured = config.build(&Registry::new())?;
//! let products = configured.cache("products")?;
//!
//! products.set("tea", &349).await?;
//! assert_eq!(products.get::<u32>("tea").await?, Some(349));
//! assert!(products.health().part("near").is_some());
//!
//! let wrong = CacheConfig::new().toml("[cache]\nttl = 5\n[backend]\nkind = 'memroy'\n[naer]");
//! let wrong = wrong.build(&Registry::new()).unwrap_err().to_string();
//! for told in [
//!     r#"cache.ttl must be a time such as "1m 30s", from 1ms to 3650d, but 5 was given"#,
//!     r#"backend.kind must be one of memory, but "memroy" was given; did you mean memory?"#,
//!     "naer is unknown; did you mean near?",
//! ] {
//!     assert!(wrong.contains(told), "{wrong}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Every setting and its default
//! [`EXAMPLE`] is a file to start from.
//!
//! ```toml
#![doc = include_str!("example.toml")]
#![cfg_attr(feature = "resilience", doc = include_str!("resilience.toml"))]
//! ```
//!
//! # Variables
//! `MEMSTACHE_`, then the path with two underscores for each step: `MEMSTACHE_BACKEND__MAX_BYTES="16 MiB"`. The prefix counts as
//! it is written, `memstache_cache__ttl` is none of them; what comes after it is taken in any case, but once: two that differ in
//! case only are an error. A keyspace whose name has capitals or dots cannot be reached by them. `1` and `0` are yes and no; a
//! variable that is empty is not set.
//!
//! Every variable with the prefix is a setting, and an unknown one is an error: where others begin with it too
//! (`MEMSTACHE_LOG`), choose a prefix of your own by [`CacheConfig::env_prefixed`], such as `SHOP_CACHE_`.
//!
//! # Limits
//! Those of a setting are in [`Setting::limits`] and in the error. Some times are bounded closer than in code, where all may
//! be up to 3,650 days: in a file, a day may be an hour that somebody mistyped. A path has at most 16 steps.
//!
//! # Settings without effect
//! What is set to something else than its default and changes nothing, such as `resilience.max_calls` while
//! `resilience.enabled` is false, is no error: it may be there for the day on which that is switched on.
//! [`Configured::warnings`] tells it.
//!
//! # What it costs
//! A part that is chosen by name is behind a pointer: one allocation more a call for the backend, and one for each layer
//! that is configured. Near hits cost what they cost without.

mod build;
mod built;
mod handle;
mod parts;
mod problem;
mod registry;
#[cfg_attr(not(feature = "resilience"), path = "without_resilience.rs")]
mod resilience;
mod section;
mod source;
mod spell;
mod told;
mod units;
mod value;

use std::{env, fmt, panic::Location, path::Path, sync::Arc};

use figment::{Figment, Metadata, Provider, Source};

pub use self::{
    built::Configured,
    problem::{ConfigError, Problem},
    registry::{Backend, Place, PlacedLayer, Registry},
    section::Section,
};
use self::{problem::Problems, source::Given};
use crate::clock::{Clock, SystemClock};

/// A file with every setting of this crate, its default, and what it does: those of `[resilience]` and of source breakers
/// with feature `resilience`.
#[cfg(feature = "resilience")]
pub const EXAMPLE: &str = concat!(include_str!("example.toml"), "\n", include_str!("resilience.toml"));

/// A file with every setting of this crate, its default, and what it does: those of `[resilience]` and of source breakers
/// with feature `resilience`.
#[cfg(not(feature = "resilience"))]
pub const EXAMPLE: &str = include_str!("example.toml");

/// The prefix of environment variables.
const PREFIX: &str = "MEMSTACHE_";

/// The settings of a cache, from one or several sources; see the [module](self).
#[derive(Clone)]
#[must_use = "nothing is read before `build`"]
pub struct CacheConfig {
    figment: Figment,
    /// What could not be read.
    problems: Problems,
    clock: Arc<dyn Clock>,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl CacheConfig {
    /// Starts with nothing set: every setting has its default.
    pub fn new() -> Self {
        Self { figment: Figment::new(), problems: Problems::default(), clock: Arc::new(SystemClock::new()) }
    }

    /// Adds the settings of a TOML file of at most 1 MiB; that it cannot be read is an error of [`build`](Self::build).
    pub fn file(self, path: impl AsRef<Path>) -> Self {
        self.given(source::toml_file(path.as_ref()))
    }

    /// Adds settings written as TOML: at most 1 MiB.
    #[track_caller]
    pub fn toml(self, text: &str) -> Self {
        let metadata = Metadata::from("text", Source::Custom(format!("text given at {}", Location::caller())));
        self.given(source::toml(text, "the text", metadata))
    }

    /// Adds the environment variables that begin with `MEMSTACHE_`.
    pub fn env(self) -> Self {
        self.env_prefixed(PREFIX)
    }

    /// Adds the environment variables that begin with a prefix of your own, such as `SHOP_CACHE_`.
    ///
    /// One whose name or value is not Unicode is an error of [`build`](Self::build).
    pub fn env_prefixed(mut self, prefix: &str) -> Self {
        let texts = source::texts(prefix, env::vars_os(), &mut self.problems);
        self.variables(prefix, texts)
    }

    /// Adds variables from elsewhere than the environment, by the same rules.
    ///
    /// ```
    /// use memstache_core::config::{CacheConfig, Registry};
    ///
    /// let variables = [("SHOP_CACHE__TTL".to_owned(), "1x".to_owned())];
    /// let error = CacheConfig::new().variables("SHOP_", variables).build(&Registry::new()).unwrap_err();
    /// assert_eq!(error.problems()[0].source.as_deref(), Some("environment variable SHOP_CACHE__TTL"));
    /// ```
    pub fn variables(mut self, prefix: &str, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let given = source::variables(prefix, variables, &mut self.problems);
        self.merge(given)
    }

    /// Sets one value by its path of at most 16 steps.
    #[track_caller]
    pub fn set(self, path: &str, value: impl Into<figment::value::Value>) -> Self {
        let metadata = Metadata::from("code", Source::Custom(format!("code at {}", Location::caller())));
        self.given(source::one(path, value.into(), metadata))
    }

    /// Adds any source that figment knows: a section of your service's own configuration, JSON, YAML.
    pub fn merge(mut self, provider: impl Provider) -> Self {
        self.figment = self.figment.merge(provider);
        self
    }

    /// Chooses the clock of all parts. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    fn given(mut self, given: Result<Given, Problem>) -> Self {
        match given {
            Ok(given) => self.merge(given),
            Err(problem) => {
                self.problems.push(problem);
                self
            }
        }
    }
}

/// Shows no values: some may be secret.
impl fmt::Debug for CacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheConfig").field("problems", &self.problems).finish_non_exhaustive()
    }
}

/// One setting as it was read: what it is, would be, may be, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// Where it stands: `backend.max_bytes`.
    pub path: String,
    /// What it is, as TOML; a secret is not shown.
    pub value: String,
    /// What it is where nobody sets it.
    pub default: String,
    /// What it may be.
    pub limits: String,
    /// From which file, variable or place in the code it came; `None` by default.
    pub source: Option<String>,
}
