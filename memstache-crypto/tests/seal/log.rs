//! Everything that is said at any level, and whether a secret is among it.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use data_encoding::{BASE64, BASE64URL};
use parking_lot::Mutex;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// A subscriber that keeps all fields of all spans and events, as text.
#[derive(Clone, Default)]
pub(crate) struct Log(pub(crate) Arc<Mutex<String>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        self.0.lock().clone()
    }
}

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
        writeln!(self.0.lock(), "{}={value:?}", field.name()).unwrap();
    }
}

/// The ways in which bytes are printed.
fn forms(secret: &[u8]) -> [String; 6] {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{secret:?}");
    // As far as what follows does not change it.
    let whole = &secret[..secret.len() / 3 * 3];
    [
        String::from_utf8_lossy(secret).into_owned(),
        hex.to_uppercase(),
        hex,
        list.trim_matches(['[', ']']).to_owned(),
        BASE64.encode(whole),
        BASE64URL.encode(whole),
    ]
}

/// Half of a secret is too much as well.
#[track_caller]
pub(crate) fn assert_clean(text: &str, secrets: &[&[u8]]) {
    for secret in secrets {
        for part in [&secret[..secret.len() / 2], &secret[secret.len() / 2..]] {
            for form in forms(part) {
                assert!(!text.contains(&form), "{form} in {text}");
            }
        }
    }
}
