//! Canaries: keys, values, names and tenants show up in no log, error, panic or `Debug`.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use memstache_core::{Lookup, Parts, Request, Transform};
use memstache_crypto::{
    BlindNames, DataKey, DataKeys, FixedKeys, KeyFailure, KeyId, NameKey, Seal, Secret, SystemRandom,
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::kit::{address, answer, down, entry, get, kept, keyspace, set, up};

const VALUE: &str = "canary-of-the-value";
const NAME: &str = "canary-of-the-name";
const TENANT: &str = "canary-of-the-tenant";
const KEY: [u8; 32] = *b"canary-of-the-key-0123456789abcd";

/// Everything that is said at any level, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        attributes.record(&mut Writer(&self.0));
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Writer(&self.0));
    }
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut Writer(&self.0));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Writer<'a>(&'a Mutex<String>);

impl Visit for Writer<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(log, "{}={value:?}", field.name()).unwrap();
    }
}

/// The ways in which bytes are printed.
fn forms(secret: &[u8]) -> Vec<String> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{secret:?}");
    vec![
        String::from_utf8_lossy(secret).into_owned(),
        hex.to_uppercase(),
        hex,
        list.trim_matches(['[', ']']).to_owned(),
    ]
}

#[track_caller]
fn assert_clean(text: &str) {
    let secrets = [VALUE.as_bytes(), NAME.as_bytes(), TENANT.as_bytes(), &KEY];
    for secret in secrets {
        // Half of a secret is too much as well.
        for part in [&secret[..secret.len() / 2], &secret[secret.len() / 2..]] {
            for form in forms(part) {
                assert!(!text.contains(&form), "{form} in {text}");
            }
        }
    }
}

fn secret() -> Secret {
    Secret::from_bytes(KEY)
}

#[test]
fn no_type_shows_a_secret() {
    let keys = FixedKeys::dangerous_one_for_all(secret());
    let builder = Seal::builder(keys.clone());
    let at = address(TENANT, "users", NAME);
    let mut shown = String::new();
    write!(shown, "{:?} {keys:?} {builder:?}", secret()).unwrap();
    let seal = builder.build().unwrap();
    let stored = down(&seal, &at, entry(VALUE)).unwrap();
    write!(shown, "{seal:?} {stored:?} {:?}", up(&seal, &at, stored.clone())).unwrap();
    write!(shown, "{:?} {:?}", DataKey::new(secret()), NameKey::new(secret())).unwrap();
    write!(shown, "{:?} {:?}", keys.sealing(&at.space()), keys.opening(&at.space(), KeyId::of(&secret()))).unwrap();
    write!(shown, "{:?} {:?}", BlindNames::new(keys), SystemRandom::new()).unwrap();
    write!(shown, "{:?}", seal.request(get(std::slice::from_ref(&at)))).unwrap();
    write!(shown, "{:?}", seal.request(set(vec![(at, entry(VALUE))]))).unwrap();
    for failure in [KeyFailure::Unknown, KeyFailure::Unavailable { retry_after: None }] {
        write!(shown, "{failure:?} {}", failure.as_str()).unwrap();
    }
    assert!(shown.contains("Secret(..)") && shown.contains("DataKey"));
    assert_clean(&shown);
}

#[test]
fn no_log_error_or_panic_shows_a_secret() {
    let log = Log::default();
    let panics = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&panics);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        sink.lock().unwrap_or_else(PoisonError::into_inner).push_str(&info.to_string());
    }));
    let errors = tracing::subscriber::with_default(log.clone(), go_wrong);
    std::panic::set_hook(usual);
    let (log, panics) = (log.0.lock().unwrap(), panics.lock().unwrap());
    assert!(log.contains("reason=\"tag\"") && log.contains("reason=\"downgrade\""), "{log}");
    assert_eq!(*panics, "", "nothing panics");
    assert_clean(&log);
    assert_clean(&errors);
}

/// Everything that goes wrong, and what it says.
fn go_wrong() -> String {
    let seal = Seal::builder(FixedKeys::dangerous_one_for_all(secret())).max_value(1_000).build().unwrap();
    let none = Seal::builder(FixedKeys::dangerous_per_tenant([]).unwrap()).build().unwrap();
    let at = address(TENANT, "users", NAME);
    let stored = down(&seal, &at, entry(VALUE)).unwrap();
    let mut said = String::new();
    let mut say = |error: &memstache_core::Error| writeln!(said, "{error} {error:?}").unwrap();
    for bit in 0..8 * stored.value.len() {
        let mut bytes = stored.value.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        say(&up(&seal, &at, memstache_core::NewEntry { value: bytes.into(), ..stored.clone() }).unwrap_err());
    }
    say(&up(&seal, &at, entry(VALUE)).unwrap_err());
    say(&up(&none, &at, stored.clone()).unwrap_err());
    say(&down(&none, &at, entry(VALUE)).unwrap_err());
    say(&down(&seal, &at, stored.clone()).unwrap_err());
    say(&down(&seal, &at, entry(VALUE.repeat(1_000))).unwrap_err());
    let mut asks = entry(VALUE);
    asks.options.encrypt = Some(false);
    say(&down(&seal, &at, asks).unwrap_err());
    say(&answer(&seal, &at, Lookup::Negative(kept(stored).meta)).unwrap_err());
    let names = BlindNames::new(FixedKeys::dangerous_per_tenant([]).unwrap()).plain(&keyspace("open"));
    let space = at.space();
    say(&Parts::new(&space, NAME.as_bytes()).unwrap().to_address(&names).unwrap_err());
    let (Request::Get(_), _) = crate::kit::asked(&seal, get(&[at])) else { panic!() };
    said
}
