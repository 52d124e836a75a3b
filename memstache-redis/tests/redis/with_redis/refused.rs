//! Servers that refuse who asks: told at once and clearly, and over when the server thinks better of it.

use std::time::{Duration, Instant};

use memstache_core::{Error, ErrorKind};
use memstache_redis::{RedisBuilder, RedisStore};

use super::{kit, own::Server};

fn builder(server: &Server) -> RedisBuilder {
    kit::builder(&server.url()).reconnect_backoff(Duration::from_millis(10), Duration::from_millis(100))
}

/// The error of a start that does not wait until its time is over.
async fn refused(builder: RedisBuilder) -> Error {
    #[expect(clippy::disallowed_methods, reason = "it is real time that callers must not lose")]
    let started = Instant::now();
    let error = builder.connect(kit::PATIENCE).await.expect_err("the server refuses");
    assert!(started.elapsed() < kit::PATIENCE / 2, "told after {:?}", started.elapsed());
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, false), "{error}");
    error
}

fn shown(error: &Error) -> String {
    format!("{error} {error:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_at_once_and_forgotten_when_it_is_right() {
    let server = Server::start(&["--requirepass", "right-one"]).await;
    let error = refused(builder(&server).credentials("", "wrong-one")).await;
    assert!(error.to_string().contains("redis refused these credentials: WRONGPASS"), "{error}");
    assert!(!shown(&error).contains("wrong-one") && !shown(&error).contains("right-one"), "{error:?}");
    assert!(refused(builder(&server)).await.to_string().contains("NOAUTH"), "none at all");

    let store = builder(&server).credentials("", "wrong-one").build().expect("a store");
    kit::until("the refusal is known", async || store.health().await.refused.is_some()).await;
    for error in [kit::get(&store, "k").await.map(drop), kit::set(&store, "k", "v").await.map(drop)] {
        let error = error.expect_err("refused");
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, false), "{error}");
        assert!(error.to_string().contains("WRONGPASS"), "{error}");
    }
    let part = RedisStore::health(&store).await;
    assert_eq!((part.is_up(), part.refused.as_deref()), (false, Some("WRONGPASS")));
    let told = memstache_core::Store::health(&store).expect("it knows").to_string();
    assert!(told.contains("redis refuses the credentials"), "{told}");

    assert_eq!(server.call(&["CONFIG", "SET", "requirepass", "wrong-one"]).await.as_deref(), Some("+OK"));
    kit::until("the store works", async || kit::set(&store, "k", "v").await.is_ok()).await;
    assert_eq!(store.health().await.refused, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_missing_are_told_at_once() {
    let server = Server::start(&[]).await;
    for rules in ["+@all -@scripting ~*", "+@all ~other:*", "+@all -mget ~*"] {
        let mut command = vec!["ACL", "SETUSER", "ada", "reset", "on", ">lovelace", "&*"];
        command.extend(rules.split(' '));
        assert_eq!(server.call(&command).await.as_deref(), Some("+OK"), "{rules}");
        let error = refused(builder(&server).credentials("ada", "lovelace")).await;
        assert!(error.to_string().contains("NOPERM"), "{rules}: {error}");
        assert!(!shown(&error).contains("lovelace"), "{error:?}");
    }
    assert_eq!(server.call(&["ACL", "SETUSER", "ada", "+@all", "~*"]).await.as_deref(), Some("+OK"));
    let store = kit::store(builder(&server).credentials("ada", "lovelace")).await;
    kit::set(&store, "k", "v").await.expect("allowed");
}
