//! A vault that is none, or wants to do harm.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use memstache_crypto::{AzureKeyVault, AzureKeyVaultBuilder, KeyProvider, MasterVersion, ProviderErrorKind};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::kit::{emulator, every_call, providers, vault};

/// A server that answers everything alike, and then goes on to send for as long as it is listened to.
struct Server {
    address: SocketAddr,
    sent: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

async fn server(answer: String, endless: bool) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, sent, calls) = (listener.local_addr().unwrap(), Arc::default(), Arc::default());
    let server = Server { address, sent: Arc::clone(&sent), calls: Arc::clone(&calls) };
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            calls.fetch_add(1, Ordering::Relaxed);
            let (answer, sent) = (answer.clone(), Arc::clone(&sent));
            tokio::spawn(async move {
                let mut asked = [0; 8192];
                assert!(stream.read(&mut asked).await.is_ok_and(|len| len > 0));
                stream.write_all(answer.as_bytes()).await.ok();
                while endless && stream.write_all(&[b'a'; 65_536]).await.is_ok() {
                    sent.fetch_add(65_536, Ordering::Relaxed);
                }
            });
        }
    });
    server
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n{headers}\r\n{body}")
}

fn at(server: &Server) -> AzureKeyVaultBuilder {
    AzureKeyVault::builder().vault_url(format!("http://{}", server.address)).emulator().key_bits(2048).retries(0)
}

#[tokio::test]
async fn an_endless_answer_is_given_up_long_before_the_time_is_over() {
    for status in ["200 OK", "403 Forbidden"] {
        let server = server(answer(status, "", r#"{"value":""#), true).await;
        for provider in [
            Box::new(at(&server).keys("master").unwrap()) as Box<dyn KeyProvider>,
            Box::new(at(&server).secrets("master").unwrap()),
        ] {
            let error = provider.current().await.unwrap_err();
            assert_ne!(error.to_string(), "the key provider failed (unavailable): the vault did not answer in time");
            assert_eq!(error.kind(), ProviderErrorKind::Unavailable, "{status}: {error}");
        }
        let sent = server.sent.load(Ordering::Relaxed);
        assert!(sent < 32 << 20, "{status}: {sent} bytes for two calls, the buffers of the system included");
    }
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let elsewhere = server(answer("200 OK", "", "{}"), false).await;
    let location = format!("Location: http://{}/keys/master\r\n", elsewhere.address);
    let server = server(answer("307 Temporary Redirect", &format!("{location}Content-Length: 0\r\n"), ""), false).await;
    let keys = at(&server).keys("master").unwrap();
    keys.current().await.unwrap_err();
    assert_eq!((server.calls.load(Ordering::Relaxed), elsewhere.calls.load(Ordering::Relaxed)), (1, 0));
}

#[tokio::test]
async fn an_answer_that_is_none_is_an_error_of_every_call() {
    let real = providers(&vault(&emulator().await)).await;
    for (name, body) in [
        ("nothing", ""),
        ("no JSON", "<html>"),
        ("an empty object", "{}"),
        ("another type", "[1]"),
        ("a short key", r#"{"kid":"https://localhost/keys/master/1","value":"AAAA"}"#),
        ("deep", &"[".repeat(100_000)),
        ("a strange id", r#"{"id":"x","key":{"kid":"https://localhost/keys/master/..%2f..%2fother"},"value":"AA=="}"#),
    ] {
        let server = server(answer("200 OK", &format!("Content-Length: {}\r\n", body.len()), body), false).await;
        let version = MasterVersion::new("1").unwrap();
        for (real, _, wrapped) in &real {
            let provider: Box<dyn KeyProvider> = if real.id().starts_with("azure-keys") {
                Box::new(at(&server).keys("master").unwrap())
            } else {
                Box::new(at(&server).secrets("master").unwrap())
            };
            let id = provider.id().to_owned();
            let mut calls = every_call(&*provider, &version, wrapped).await.into_iter();
            let unwrapped = calls.nth(2).unwrap();
            assert!(unwrapped.is_err(), "{name}: {id}");
        }
    }
}

/// The SDK's errors hold addresses, and those the name of the key.
#[tokio::test]
async fn an_error_does_not_show_which_key_was_asked_for() {
    let gone = emulator().await;
    let down = vault(&gone).retries(0).keys("very-hidden-name").unwrap();
    gone.shutdown().await;
    let here = emulator().await;
    let missing = vault(&here).keys("very-hidden-name").unwrap();
    for (provider, expected) in [(down, ProviderErrorKind::Unavailable), (missing, ProviderErrorKind::NotFound)] {
        let error = provider.current().await.unwrap_err();
        assert_eq!(error.kind(), expected);
        let outer = memstache_core::Error::from(error.clone());
        assert!(outer.to_string().starts_with("the key provider failed ("));
        let shown = format!("{error} {error:?} {error:#?} {outer} {outer:?} {outer:#?}");
        assert!(!shown.contains("very-hidden-name"), "{shown}");
        assert!(std::error::Error::source(&error).is_some(), "who looks for the source has it");
    }
}
