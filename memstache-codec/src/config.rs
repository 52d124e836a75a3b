//! The formats and compressors for stacks that are made of configurations (feature `config`).

use memstache_core::{
    Result,
    config::{Place, PlacedLayer, Registry, Section},
};

use crate::{
    compress::{Compress, CompressBuilder},
    compressor,
    format::{Formats, NamedFormat},
};

/// Registers what this crate has: its formats, and its compressors for `[compression]`.
///
/// The kinds of compression are `zstd`, `lz4` and `gzip`, as far as they are built in, and `read-only`, which reads what any
/// of them wrote and writes nothing compressed. [`CONFIG_EXAMPLE`] has their settings.
///
/// ```
/// # #[cfg(all(feature = "lz4", feature = "postcard"))] {
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// use memstache_core::config::{CacheConfig, Registry};
///
/// let registry = memstache_codec::register(Registry::new());
/// let config = CacheConfig::new().toml(r#"
///     [cache]
///     format = "postcard"
///     [compression]
///     kind = "lz4"
///     threshold = "1 KiB"
/// "#);
/// let pages = config.build(&registry)?.cache("pages")?;
/// pages.set("home", &"tea ".repeat(1000)).await?;
///
/// let held = pages.explain("home").await?;
/// assert_eq!(held.tiers[0].entry.as_ref().map(|entry| entry.bytes), Some(4002)); // opened; in the store it is shorter
/// # Ok(())
/// # }
/// # main().unwrap();
/// # }
/// ```
pub fn register<F>(registry: Registry<F>) -> Registry<NamedFormat> {
    register_with(registry, Formats::new())
}

/// Like [`register`], with formats of your own among those that can be chosen.
pub fn register_with<F>(registry: Registry<F>, formats: Formats) -> Registry<NamedFormat> {
    let mut names: Vec<_> = formats.names().map(str::to_owned).collect();
    // What was written without a word about formats is read still once this crate comes in.
    names.sort_by_key(|name| name != "json");
    let registry = registry.formats(names, move |name| formats.named(name));
    let registry = registry
        .layer(Place::Compression, "read-only", |section| compression(section, Compress::builder().no_compression()));
    let built_in =
        compressor::names().into_iter().filter(|name| compressor::named(name).is_some_and(|made| made.is_ok()));
    built_in.fold(registry, |registry, name| {
        registry.layer(Place::Compression, name, move |section| {
            let algorithm = match compressor::levels(name) {
                Some((default, levels)) => format!("{name}:{}", level(section, default, levels)),
                None => name.to_owned(),
            };
            compression(section, Compress::builder().algorithm(algorithm))
        })
    })
}

/// Reads the settings of a `[compression]` for a builder: what a compressor of your own registers with.
///
/// ```
/// # use memstache_codec::Compressor;
/// # use memstache_core::config::Registry;
/// # fn f<C: Compressor + Clone>(runs: C, registry: Registry<memstache_core::Json>) {
/// use memstache_codec::{Compress, compression};
/// use memstache_core::config::Place;
///
/// let registry = registry.layer(Place::Compression, "runs", move |section| {
///     compression(section, Compress::builder().register(runs.clone()).algorithm("runs"))
/// });
/// # }
/// ```
pub fn compression(section: &mut Section<'_>, builder: CompressBuilder) -> Result<PlacedLayer> {
    const ANY: usize = isize::MAX.unsigned_abs();
    let mut builder = builder
        .min_saving(section.number("min_saving", 0.1, 0.0..=1.0))
        .offload_above(section.bytes("offload_above", 64 << 10, 0..=ANY))
        .max_plain(section.bytes("max_plain", 64 << 20, 1..=ANY));
    if let Some(threshold) = section.optional_bytes("threshold", 0..=ANY) {
        builder = builder.threshold(threshold);
    }
    if let Some(bytes) = section.optional_bytes("max_plain_per_call", 1..=ANY) {
        builder = builder.max_plain_per_call(bytes);
    }
    Ok(PlacedLayer::transform(builder.build()?))
}

fn level(section: &mut Section<'_>, default: i32, (least, most): (i32, i32)) -> i32 {
    let level = section.number("level", default.into(), least.into()..=most.into());
    if level.fract() != 0.0 {
        section.refuse("level", "must be a whole number");
    }
    level as i32
}

/// The settings of `[compression]` with their defaults, for a file of your own.
pub const CONFIG_EXAMPLE: &str = include_str!("config.toml");
