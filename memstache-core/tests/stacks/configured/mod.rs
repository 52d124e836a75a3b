//! What configurations put around a backend: resilience, breakers of sources, recorders.

mod bounds;
mod observe;
#[cfg(feature = "resilience")]
mod resilience;
#[cfg(feature = "resilience")]
mod source;
#[cfg(not(feature = "resilience"))]
mod without_resilience;

use memstache_core::{
    Json,
    config::{CacheConfig, ConfigError, Configured, Registry},
};

fn build(toml: &str) -> Result<Configured<Json>, ConfigError> {
    CacheConfig::new().toml(toml).build(&Registry::new())
}

/// Everything that is told, without where it stands.
fn told(toml: &str) -> Vec<String> {
    let error = build(toml).map(drop).expect_err("it is wrong");
    error.problems().iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect()
}
