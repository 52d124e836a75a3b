//! The servers, and stores over them.

use std::{env, time::Duration};

use memstache_redis::{RedisBuilder, RedisStore};

/// How long a server may take to be ready.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Returns the URL of a deployment.
///
/// # Panics
/// When the variable is not set: a missing server fails the tests unless they are excluded.
pub(crate) fn url(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: `cargo xtask test` starts the servers and sets it; or exclude this test")
    })
}

/// Returns the URL of one server.
pub(crate) fn single() -> String {
    url("MEMSTACHE_REDIS_URL")
}

/// Returns a prefix that no other test and no other run has.
pub(crate) fn prefix() -> String {
    format!("t{:x}:", fastrand::u64(..))
}

/// Makes a builder, trusting the authority of the tests if there is TLS.
pub(crate) fn builder(url: &str) -> RedisBuilder {
    let builder = RedisStore::builder(url).expect("a good URL").prefix(&prefix());
    if url.starts_with("rediss") {
        builder.ca(std::fs::read(self::url("MEMSTACHE_REDIS_CA")).expect("the authority of the tests"))
    } else {
        builder
    }
}

/// Builds a store whose servers answer.
pub(crate) async fn store(builder: RedisBuilder) -> RedisStore {
    builder.connect(PATIENCE).await.expect("the server is there")
}
