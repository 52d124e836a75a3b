//! Sealing in stacks that are made of configurations (feature `config`).

use std::time::Duration;

use memstache_core::{
    KeyspaceName, Result,
    config::{Place, PlacedLayer, Registry, Section},
};

use crate::{
    key::DataKeys,
    seal::{Seal, SealBuilder, Subkeys},
};

/// Registers sealing under the keys of one source, such as a [`Keyring`](crate::Keyring): the kinds of `[seal]` are
/// `aes-256-gcm` and `chacha20-poly1305`.
///
/// Keys come from code alone: nothing secret stands in a configuration. [`CONFIG_EXAMPLE`] has the settings.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// use memstache_core::config::{CacheConfig, Registry};
/// use memstache_crypto::{FixedKeys, Secret, SystemRandom};
///
/// let keys = FixedKeys::dangerous_one_for_all(Secret::random(&SystemRandom::new())?); // a `Keyring` in earnest
/// let registry = memstache_crypto::register(Registry::new(), keys);
/// let config = CacheConfig::new().toml("[seal]\nkind = \"aes-256-gcm\"\npadded = true");
/// let cache = config.build(&registry)?.cache("users")?;
///
/// cache.set("7", "Ada").await?;
/// assert_eq!(cache.get::<String>("7").await?.as_deref(), Some("Ada"));
/// # Ok(())
/// # }
/// ```
pub fn register<F>(registry: Registry<F>, keys: impl DataKeys + Clone) -> Registry<F> {
    let other = keys.clone();
    registry
        .layer(Place::Seal, "aes-256-gcm", move |section| seal(section, Seal::builder(keys.clone()).aes_256_gcm()))
        .layer(Place::Seal, "chacha20-poly1305", move |section| {
            seal(section, Seal::builder(other.clone()).chacha20_poly1305())
        })
}

/// The settings of `[seal]` with their defaults, for a file of your own.
pub const CONFIG_EXAMPLE: &str = include_str!("config.toml");

fn seal(section: &mut Section<'_>, builder: SealBuilder) -> Result<PlacedLayer> {
    let day = Duration::from_secs(24 * 3600);
    let generation = section.count("generation", 0, 0..=u32::MAX as usize);
    let mut builder = builder
        .generation(u32::try_from(generation).expect("it is within its limits"))
        .max_skew(section.span("max_skew", Duration::from_secs(300), Duration::ZERO..=day))
        .max_value(section.bytes("max_value", 16 << 20, 1..=1 << 30))
        .clock(section.clock());
    if section.flag("committing", false) {
        builder = builder.committing();
    }
    if section.flag("padded", false) {
        builder = builder.padded();
    }
    if section.choice("subkeys", "per-entry", &["per-entry", "per-writer"]) == "per-writer" {
        builder = builder.subkeys(Subkeys::per_writer());
    }
    if section.flag("plain_by_default", false) {
        builder = builder.plain_by_default();
    }
    builder = keyspaces(section, "plain").iter().fold(builder, SealBuilder::plain);
    builder = keyspaces(section, "sealed").iter().fold(builder, SealBuilder::sealed);
    Ok(PlacedLayer::transform(builder.build()?))
}

/// Reads names of keyspaces.
fn keyspaces(section: &mut Section<'_>, key: &'static str) -> Vec<KeyspaceName> {
    let mut known = Vec::new();
    for name in section.texts(key, &[]) {
        match KeyspaceName::new(&name) {
            Ok(name) => known.push(name),
            Err(error) => section.refuse(key, format_args!("names no keyspace: {error}")),
        }
    }
    known
}
