//! Canaries: no key and no token is among what is said of calls to a vault, also by the SDK.

use std::{fmt::Write as _, sync::Arc};

use memstache_crypto::{KeyProvider, Random, Secret, emulator::Faults};

use crate::{
    kit::{emulator, every_call, failing, vault},
    log::{Log, assert_clean},
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

#[tokio::test]
async fn no_log_and_no_error_shows_a_key_or_a_token() {
    let log = Log::default();
    let _default = tracing::subscriber::set_default(log.clone());
    let emulator = emulator().await;
    let vault = vault(&emulator).retries(1).random(Arc::new(Canary));
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
    for text in [&text, &said] {
        assert_clean(text, &[&MASTER, &KEY]);
        // The token that `.emulator()` sends.
        assert!(!text.contains("emulator"), "a token in {text}");
    }
}
