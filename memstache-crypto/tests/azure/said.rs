//! Canaries: no key and no token is among what is said of calls to a vault, also by the SDK.

use std::{
    fmt::Write as _,
    sync::{Arc, OnceLock},
};

use log::{LevelFilter, Metadata, Record};
use memstache_crypto::{
    AzureKeyVaultBuilder, KeyProvider, Random, Secret,
    emulator::{Emulator, Faults},
};

use crate::{
    kit::{emulator, every_call, failing, vault},
    said_by::{Log, assert_clean},
    tls,
};

const MASTER: [u8; 32] = *b"canary-of-the-master-key-1234567";
const KEY: [u8; 32] = *b"canary-of-a-data-key-12345678901";

/// Every master key is the canary; a nonce is no secret.
#[derive(Debug)]
struct Canary;

impl Random for Canary {
    fn fill(&self, out: &mut [u8]) -> memstache_core::Result<()> {
        match <&mut [u8; 32]>::try_from(&mut *out) {
            Ok(key) => *key = MASTER,
            Err(_) => out.fill(7),
        }
        Ok(())
    }
}

/// What the crate `log` is told, at every level: by the HTTP client, which does not know `tracing`.
struct Records(Log);

impl log::Log for Records {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        writeln!(self.0.0.lock(), "record of {}: {}", record.target(), record.args()).unwrap();
    }
    fn flush(&self) {}
}

/// Keeps what is said in either way; a process has one logger, so all tests share it.
fn everything() -> Log {
    static RECORDS: OnceLock<Records> = OnceLock::new();
    let records = RECORDS.get_or_init(|| Records(Log::default()));
    // The second one is told that there is a logger already: it is this one.
    if log::set_logger(records).is_ok() {
        log::set_max_level(LevelFilter::Trace);
    }
    records.0.clone()
}

#[tokio::test]
async fn no_log_and_no_error_shows_a_key_or_a_token() {
    let emulator = emulator().await;
    // The token that `.emulator()` sends.
    shows_nothing(&emulator, vault(&emulator), "emulator").await;
}

#[tokio::test]
async fn no_log_and_no_error_shows_a_key_or_a_token_over_tls() {
    let emulator = tls::emulator().await;
    shows_nothing(&emulator, tls::trusting(&emulator, &emulator), tls::TOKEN).await;
}

async fn shows_nothing(emulator: &Emulator, vault: AzureKeyVaultBuilder, token: &str) {
    let log = everything();
    let _default = tracing::subscriber::set_default(log.clone());
    let vault = vault.retries(1).random(Arc::new(Canary));
    let both: [Box<dyn KeyProvider>; 2] =
        [Box::new(vault.keys("master").unwrap()), Box::new(vault.secrets("master").unwrap())];
    let mut said = String::new();
    for provider in &both {
        let version = provider.rotate().await.unwrap();
        let wrapped = provider.wrap(&version, &Secret::from_bytes(KEY), b"aad").await.unwrap();
        let opened = provider.unwrap(&wrapped, b"aad").await.unwrap();
        assert_eq!(opened, Secret::from_bytes(KEY));
        write!(said, "{version:?} {wrapped:?} {opened:?} {provider:?}").unwrap();
        for faults in [failing(), Faults::default().with_throttle(0), Faults::default().with_forbidden()] {
            emulator.set_faults(faults);
            for result in every_call(&**provider, &version, &wrapped).await {
                let error = result.unwrap_err();
                write!(said, "{error} {error:?} {error:#?}").unwrap();
            }
        }
        emulator.set_faults(Faults::default());
    }
    let text = log.text();
    for heard in ["wrapkey", "/secrets/master", "429"] {
        assert!(text.contains(heard), "the SDK says {heard}: {text}");
    }
    assert!(text.contains("record of reqwest"), "the HTTP client says something: {text}");
    for text in [&text, &said] {
        assert_clean(text, &[&MASTER, &KEY]);
        assert!(!text.contains(token), "a token in {text}");
    }
}
