//! The backend for stacks that are made of configurations (feature `config`).

use std::{fs::File, io::Read as _, time::Duration};

use memstache_core::{
    Error, MAX_TTL, Result,
    config::{Backend, Registry, Section},
};

use crate::{OnOversize, RedisBuilder, RedisStore, builder::CONNECT_TIMEOUT};

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// Longest PEM file that is read.
const MAX_FILE: u64 = 1 << 20;

/// Registers the backend `redis`.
///
/// It connects by itself once the configuration is built, which must be done inside of a tokio runtime.
/// [`CONFIG_EXAMPLE`] has its settings. URL and passwords are shown neither in errors nor among the settings.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// use memstache_core::config::{CacheConfig, Registry};
///
/// let registry = memstache_redis::register(Registry::new());
/// let config = CacheConfig::new().toml(r#"
///     [backend]
///     kind = "redis"
///     url = "redis://localhost:6379"
///     prefix = "shop:"
///     [near]
///     max_bytes = "16 MiB"
/// "#);
/// let products = config.build(&registry)?.cache("products")?;
/// # let _ = products;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn register<F>(registry: Registry<F>) -> Registry<F> {
    registry.backend("redis", |section| {
        let store = read(section)?.build()?;
        let calls = store.database_calls();
        Ok(Backend::coherent_store(store).calling(calls))
    })
}

/// The settings of the backend `redis` with their defaults, for a file of your own.
pub const CONFIG_EXAMPLE: &str = include_str!("config.toml");

/// Reads every setting, then makes the builder: so that all that is wrong is told at once.
fn read(section: &mut Section<'_>) -> Result<RedisBuilder> {
    let url = section.secret("url");
    let given = url.ok_or_else(|| Error::invalid("url", "given, such as \"redis://localhost:6379\"", "none"));
    let builder = given.and_then(|url| RedisStore::builder(&url));
    // The others are read all the same; nothing is built of them.
    let (builder, wrong) = match builder {
        Ok(builder) => (builder, None),
        Err(error) => (RedisStore::builder("redis://localhost")?, Some(error)),
    };
    let builder = credentials(section, builder);
    let builder = certificates(section, builder);
    let builder = connections(section, builder);
    let builder = times(section, builder);
    let builder = values(section, builder);
    wrong.map_or(Ok(builder), Err)
}

fn credentials(section: &mut Section<'_>, mut builder: RedisBuilder) -> RedisBuilder {
    let pairs = [("username", "password"), ("sentinel_username", "sentinel_password")];
    let read = pairs.map(|(username, password)| (section.optional_text(username), section.secret(password)));
    for ((_, key), (username, password)) in pairs.iter().zip(&read) {
        if username.is_some() && password.is_none() {
            section.refuse(key, "must be given with a username");
        }
    }
    let [(username, password), (sentinel_username, sentinel_password)] = read;
    if let Some(password) = password {
        builder = builder.credentials(&username.unwrap_or_default(), &password);
    }
    if let Some(password) = sentinel_password {
        builder = builder.sentinel_credentials(&sentinel_username.unwrap_or_default(), &password);
    }
    match section.optional_count("database", 0..=255).and_then(|database| u8::try_from(database).ok()) {
        Some(database) => builder.database(database),
        None => builder,
    }
}

fn certificates(section: &mut Section<'_>, mut builder: RedisBuilder) -> RedisBuilder {
    let (ca, chain, key) =
        (pem(section, "ca_file"), pem(section, "identity_chain_file"), pem(section, "identity_key_file"));
    if let Some(ca) = ca.flatten() {
        builder = builder.ca(ca);
    }
    match (chain, key) {
        (Some(chain), Some(key)) => match chain.zip(key) {
            Some((chain, key)) => builder.identity(chain, key),
            None => builder,
        },
        (Some(_), None) => refused(section, "identity_key_file", "must be given with identity_chain_file", builder),
        (None, Some(_)) => refused(section, "identity_chain_file", "must be given with identity_key_file", builder),
        (None, None) => builder,
    }
}

fn refused(section: &mut Section<'_>, key: &'static str, why: &str, builder: RedisBuilder) -> RedisBuilder {
    section.refuse(key, why);
    builder
}

/// Reads a file that a setting names; `Some(None)` if it cannot be read, which is noted.
fn pem(section: &mut Section<'_>, key: &'static str) -> Option<Option<Vec<u8>>> {
    let path = section.optional_text(key)?;
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    Some(match read {
        Err(error) => {
            section.refuse(key, format_args!("must name a file that can be read: {}", error.kind()));
            None
        }
        Ok(_) if bytes.len() as u64 > MAX_FILE => {
            section.refuse(key, format_args!("must name a file of at most {MAX_FILE} bytes"));
            None
        }
        Ok(_) => Some(bytes),
    })
}

fn connections(section: &mut Section<'_>, builder: RedisBuilder) -> RedisBuilder {
    let builder = match section.optional_text("client_name") {
        Some(name) => builder.client_name(&name),
        None => builder,
    };
    let least = section.span("reconnect_backoff", 50 * MILLISECOND, MILLISECOND..=MINUTE);
    let most = section.span("reconnect_backoff_max", 250 * MILLISECOND, MILLISECOND..=MINUTE);
    builder
        .connections(section.count("connections", 1, 1..=64))
        .connect_timeout(section.span("connect_timeout", CONNECT_TIMEOUT, MILLISECOND..=MINUTE))
        .reconnect_backoff(least, most)
        .max_queued(section.count("max_queued", 16_384, 16..=1 << 20))
}

fn times(section: &mut Section<'_>, builder: RedisBuilder) -> RedisBuilder {
    let secs = Duration::from_secs;
    let attempts = section.count("read_attempts", 3, 1..=100);
    builder
        .clock(section.clock())
        .read_attempts(u32::try_from(attempts).unwrap_or(u32::MAX))
        .read_timeout(section.span("read_timeout", 250 * MILLISECOND, MILLISECOND..=MINUTE))
        .backoff(section.span("backoff", 25 * MILLISECOND, Duration::ZERO..=MINUTE))
        .write_timeout(section.span("write_timeout", secs(2), MILLISECOND..=MINUTE))
        .call_timeout(section.span("call_timeout", secs(2), MILLISECOND..=MINUTE))
        .lease_ttl(section.span("lease_ttl", secs(4), 10 * MILLISECOND..=HOUR))
        .max_ttl(section.span("max_ttl", 24 * HOUR, MILLISECOND..=MAX_TTL))
        .tombstone_ttl(section.span("tombstone_ttl", secs(30), MILLISECOND..=HOUR))
        .canary_interval(section.span("canary_interval", secs(1), 10 * MILLISECOND..=HOUR))
}

fn values(section: &mut Section<'_>, builder: RedisBuilder) -> RedisBuilder {
    let on_oversize = match section.choice("on_oversize", "error", &["error", "skip"]).as_str() {
        "skip" => OnOversize::Skip,
        _ => OnOversize::Error,
    };
    builder
        .prefix(&section.text("prefix", "ms:"))
        .max_value_bytes(section.bytes("max_value_bytes", 8 << 20, 1..=512 << 20))
        .on_oversize(on_oversize)
        .max_in_flight_bytes(section.bytes("max_in_flight_bytes", 64 << 20, 1024..=1 << 40))
        .max_tags(section.count("max_tags", 65_536, 16..=16 << 20) as u64)
        .event_capacity(section.count("event_capacity", 4096, 1..=1 << 20))
}
