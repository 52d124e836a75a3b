//! What configurations put around a backend: resilience, breakers of sources, recorders.

mod observe;
#[cfg(feature = "resilience")]
mod resilience;
#[cfg(feature = "resilience")]
mod source;
#[cfg(not(feature = "resilience"))]
mod without_resilience;

use memstache_core::{
    Json, MemoryStore,
    config::{Backend, CacheConfig, ConfigError, Configured, Registry},
    testing::Faults,
};

fn build(toml: &str) -> Result<Configured<Json>, ConfigError> {
    CacheConfig::new().toml(toml).build(&Registry::new())
}

/// Everything that is told, without where it stands.
fn told(toml: &str) -> Vec<String> {
    let error = build(toml).map(drop).expect_err("it is wrong");
    error.problems().iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect()
}

/// A registry with a backend `faulty`.
fn faulty(faults: &Faults) -> Registry<Json> {
    let layer = faults.clone();
    Registry::new().backend("faulty", move |section| {
        let store = MemoryStore::builder().clock(section.clock()).build()?;
        Ok(Backend::coherent(tower::Layer::layer(&layer, store)))
    })
}
