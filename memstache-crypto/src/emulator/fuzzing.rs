//! What the fuzz target of the emulator runs.

use std::sync::{Arc, LazyLock};

use memstache_core::SystemClock;
use parking_lot::Mutex;

use super::{
    route::route,
    vault::{Call, State, Vault},
};
use crate::random::SystemRandom;

/// Every route whose body is read, but the one that makes keys, which is slow.
const ROUTES: [(&str, &str); 12] = [
    ("PUT", "/secrets/fuzz"),
    ("PATCH", "/secrets/fuzz/"),
    ("POST", "/secrets/restore"),
    ("PUT", "/keys/other"),
    ("PATCH", "/keys/fuzz/"),
    ("POST", "/keys/restore"),
    ("PUT", "/keys/fuzz/rotationpolicy"),
    ("POST", "/keys/fuzz//encrypt"),
    ("POST", "/keys/fuzz//decrypt"),
    ("POST", "/keys/fuzz//wrapkey"),
    ("POST", "/keys/fuzz//unwrapkey"),
    ("POST", "/keys/fuzz/backup"),
];

/// A secret and a key that every run begins with.
static BEGIN: LazyLock<State> = LazyLock::new(|| {
    let vault = vault(State::new(&SystemRandom::new()).expect("there is randomness"));
    assert!(ask(&vault, ("PUT", "/secrets/fuzz"), br#"{"value":"v"}"#));
    assert!(ask(&vault, ("POST", "/keys/fuzz/create"), br#"{"kty":"RSA"}"#));
    vault.state.into_inner()
});

fn vault(state: State) -> Vault {
    let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom::new()));
    Vault { state: Mutex::new(state), file: None, clock, random, max_versions: 100 }
}

/// Asks the vault; an error must be the caller's fault. Returns whether it succeeded.
fn ask(vault: &Vault, (method, path): (&str, &str), body: &[u8]) -> bool {
    let route = route(method, path).expect("a route of the emulator");
    let call = Call { base: "http://localhost", query: "api-version=1", body, skew: 0 };
    match vault.answer(route, &call) {
        Ok(answer) => answer.is_some(),
        Err(failure) => {
            assert!((400..500).contains(&failure.status), "{failure:?}");
            false
        }
    }
}

/// Sends a body; the first byte chooses the route. Whatever it does, the vault must still be one that can be kept.
pub(crate) fn call(data: &[u8]) -> bool {
    let Some((at, body)) = data.split_first() else { return false };
    let vault = vault(BEGIN.clone());
    let done = ask(&vault, ROUTES[usize::from(*at) % ROUTES.len()], body);
    let state = vault.state.into_inner();
    let kept: State =
        serde_json::from_slice(&serde_json::to_vec(&state).expect("it can be written")).expect("and read");
    assert!(kept.is_sound());
    done
}
