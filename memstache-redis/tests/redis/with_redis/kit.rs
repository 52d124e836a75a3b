//! The servers, and stores over them.

use std::{env, io, time::Duration};

use bytes::Bytes;
use memstache_core::{
    Address, Get, KeyspaceName, Lifetime, Lookup, NewEntry, Remove, Result, Set, Space, Store, Written,
};
use memstache_redis::{RedisBuilder, RedisStore};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

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
    // Machines that run tests are busy.
    let builder = RedisStore::builder(url).expect("a good URL").prefix(&prefix());
    let secs = Duration::from_secs;
    let builder = builder.read_timeout(secs(2)).write_timeout(secs(5)).call_timeout(secs(10));
    if url.starts_with("rediss") {
        let file = |variable| std::fs::read(self::url(variable)).expect("a file of the tests");
        let identity = ["MEMSTACHE_REDIS_CLIENT_CERT", "MEMSTACHE_REDIS_CLIENT_KEY"].map(file);
        let [chain, key] = identity;
        builder.ca(file("MEMSTACHE_REDIS_CA")).identity(chain, key)
    } else {
        builder
    }
}

/// Builds a store whose servers answer.
pub(crate) async fn store(builder: RedisBuilder) -> RedisStore {
    builder.connect(PATIENCE).await.expect("the server is there")
}

/// Returns host and port of a URL of one server.
pub(crate) fn address(url: &str) -> String {
    let rest = url.split("://").nth(1).expect("a URL");
    rest.split('/').next().and_then(|rest| rest.rsplit('@').next()).expect("an address").to_owned()
}

/// Sends a command to the one server on a connection of its own, and returns the answer as text.
pub(crate) async fn raw(command: &[&str]) -> String {
    ask(&address(&single()), &[command]).await.expect("the server is there")
}

/// Sends commands on a connection of its own, one after the other, and returns the last answer as text.
pub(crate) async fn ask(address: &str, commands: &[&[&str]]) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let (mut answer, mut len) = (vec![0; 64 * 1024], 0);
    for command in commands {
        let mut out = format!("*{}\r\n", command.len());
        for part in *command {
            out += &format!("${}\r\n{part}\r\n", part.len());
        }
        stream.write_all(out.as_bytes()).await?;
        len = stream.read(&mut answer).await?;
    }
    Ok(String::from_utf8_lossy(&answer[..len]).trim().to_owned())
}

/// Returns an address in a space of its own.
pub(crate) fn key(name: &str) -> Address {
    let space = Space::new(None, &KeyspaceName::new("items").expect("a name"));
    Address::plain(&space, name).expect("a name")
}

pub(crate) async fn set(store: &RedisStore, name: &str, value: &'static str) -> Result<Written> {
    let entry = NewEntry::new(value, Lifetime::UNLIMITED);
    store.set(Set::one(key(name), entry)).await?.into_one().expect("one answer")
}

pub(crate) async fn get(store: &RedisStore, name: &str) -> Result<Option<Bytes>> {
    match store.get(Get::one(key(name))).await?.into_one().expect("one answer")? {
        Lookup::Hit(entry) => Ok(Some(entry.value)),
        Lookup::Miss => Ok(None),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn remove(store: &RedisStore, name: &str) -> Result<bool> {
    store.remove(Remove::one(key(name))).await?.into_one().expect("one answer")
}

/// Tries until something holds.
///
/// # Panics
/// When it does not in ten seconds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: not within ten seconds");
}
