//! Values as they were given: reading whole numbers, and showing the others.

use std::fmt;

use figment::value::{Dict, Value};

/// Longest text of a value that an error quotes.
const QUOTED: usize = 64;
/// How figment has the dates of TOML.
const DATE: &str = "$__toml_private_datetime";

pub(super) fn integer(value: &Value) -> Option<usize> {
    let text = || value.as_str()?.trim().replace('_', "").parse().ok();
    let whole = value.to_i128().and_then(|whole| usize::try_from(whole).ok());
    whole.or_else(|| usize::try_from(value.to_u128()?).ok()).or_else(text)
}

pub(super) fn quoted(text: impl fmt::Display) -> String {
    format!("\"{text}\"")
}

/// Whether a section is the date that TOML has.
pub(super) fn is_date(dict: &Dict) -> bool {
    dict.contains_key(DATE)
}

/// A text as it was given, cut off where it is long.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// What was given, for an error.
pub(super) fn given(value: &Value) -> String {
    match value {
        Value::String(_, text) => quote(text),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(..) => {
            let whole = value.to_i128().map(|whole| whole.to_string());
            whole.or_else(|| value.to_f64().map(|number| number.to_string())).unwrap_or_else(|| "a number".to_owned())
        }
        Value::Dict(_, dict) if is_date(dict) => "a date".to_owned(),
        Value::Dict(..) => "a section".to_owned(),
        Value::Array(..) => "a list".to_owned(),
        _ => "something else".to_owned(),
    }
}
