//! Reading one section: what is asked for, what is wrong, and what nobody asked for.

use std::{cell::RefCell, fmt, ops::RangeInclusive, sync::Arc, time::Duration};

use figment::{
    Figment,
    value::{Dict, Value},
};

use super::{
    Setting,
    problem::Problems,
    registry::{MakePolicy, Policies},
    source::origin,
    spell::shown,
    units::{self, Size, Span},
    value::{given, integer, is_date, quote, quoted},
};
use crate::clock::Clock;

/// The word for a setting that is not set.
pub(super) const NONE: &str = "none";
/// Neither a secret nor to be left out; and not a secret, but to be left out.
const REQUIRED: (bool, bool) = (false, false);
const OPTIONAL: (bool, bool) = (false, true);

/// What all sections of one configuration share.
pub(super) struct Reader<'a> {
    pub(super) figment: &'a Figment,
    pub(super) policies: &'a Policies,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) problems: RefCell<Problems>,
    pub(super) settings: RefCell<Vec<Setting>>,
    pub(super) warnings: RefCell<Problems>,
}

/// One section of a configuration, such as `[backend]`, while it is read.
///
/// Each setting is asked for by its name, with its default and its limits. What is wrong with it is noted, and the default is
/// returned: reading goes on, so that everything that is wrong is told at once. What was never asked for is an unknown
/// setting, and told, too. A setting of the text `none` is as one that is not there.
pub struct Section<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) path: String,
    pub(super) dict: Dict,
    pub(super) asked: Vec<&'static str>,
    /// Settings that fall back to those of another section.
    inherits: bool,
}

impl<'a> Section<'a> {
    pub(super) fn new(reader: &'a Reader<'a>, path: String, value: Option<Value>) -> Self {
        let dict = match value {
            None => Dict::new(),
            Some(Value::Dict(_, dict)) if !is_date(&dict) => dict,
            Some(other) => {
                reader.note(&path, "must be a section with settings".to_owned(), Some(&other));
                Dict::new()
            }
        };
        Self { reader, path, dict, asked: Vec::new(), inherits: false }
    }

    /// Has defaults be those of another section, and so not be listed as this one's.
    pub(super) fn inheriting(self) -> Self {
        Self { inherits: true, ..self }
    }

    /// Goes one step down: to a section within this one. It must be finished, too.
    #[cfg(feature = "resilience")]
    pub(super) fn part(&mut self, key: &'static str) -> Self {
        self.asked.push(key);
        let part = Section::new(self.reader, self.at(key), self.dict.remove(key));
        Self { inherits: self.inherits, ..part }
    }

    /// Goes through the sections within one of this section, each of a name that the application chose:
    /// `[quota.plans.gold]` for the key `plans`.
    pub fn each<T>(&mut self, key: &'static str, mut read: impl FnMut(&str, &mut Section<'_>) -> T) -> Vec<T> {
        let inherits = self.inherits;
        let read = |(path, name, value): (String, String, Value)| {
            let mut section = Section { inherits, ..Section::new(self.reader, path, Some(value)) };
            let made = read(&name, &mut section);
            section.finish();
            made
        };
        self.asked.push(key);
        let (path, all) = (self.at(key), self.inner(key));
        all.into_iter().map(|(name, value)| (format!("{path}.{}", shown(&name)), name, value)).map(read).collect()
    }

    /// Reads texts, each under a name that the application chose.
    pub fn named_texts(&mut self, key: &'static str) -> Vec<(String, String)> {
        self.asked.push(key);
        let (path, all) = (self.at(key), self.inner(key));
        let text = |(name, value): (String, Value)| match value.clone().into_string() {
            Some(text) => Some((name, text)),
            None => {
                let told = format!("must be a text, but {} was given", given(&value));
                self.reader.note(&format!("{path}.{}", shown(&name)), told, Some(&value));
                None
            }
        };
        all.into_iter().filter_map(text).collect()
    }

    /// Takes a section within this one.
    fn inner(&mut self, key: &'static str) -> Dict {
        match self.dict.get(key).cloned() {
            None => Dict::new(),
            Some(Value::Dict(_, inner)) if !is_date(&inner) => inner,
            Some(other) => {
                self.reader.note(&self.at(key), "must be a section with settings".to_owned(), Some(&other));
                Dict::new()
            }
        }
    }

    /// Returns whether defaults are those of another section.
    #[cfg(feature = "resilience")]
    pub(super) const fn inherits(&self) -> bool {
        self.inherits
    }

    /// Returns whether nothing is set here.
    #[cfg(feature = "resilience")]
    pub(super) fn is_empty(&self) -> bool {
        self.dict.is_empty()
    }

    /// Notes that a section within this one is there for nothing: its feature is not built in.
    #[cfg(not(feature = "resilience"))]
    pub(super) fn needs(&mut self, key: &'static str, feature: &str) {
        if let Some(value) = self.dict.remove(key) {
            self.reader.needs(&self.at(key), feature, &value);
        }
    }

    /// Returns the section's path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the kind of the backend that is chosen, as `[backend]` says it.
    pub fn backend_kind(&self) -> String {
        self.reader.figment.extract_inner("backend.kind").unwrap_or_else(|_| super::build::DEFAULT_BACKEND.to_owned())
    }

    /// Returns the clock that all parts of the stack share.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.reader.clock)
    }

    /// Reads a text.
    pub fn text(&mut self, key: &'static str, default: &str) -> String {
        let any = |value: &Value| value.clone().into_string().filter(|text| !text.is_empty());
        self.read(key, Some(default.to_owned()), "a text", REQUIRED, any, |text| format!("{text:?}"))
            .expect("by default")
    }

    /// Reads a text that need not be there.
    pub fn optional_text(&mut self, key: &'static str) -> Option<String> {
        let any = |value: &Value| value.clone().into_string().filter(|text| !text.is_empty());
        self.read(key, None, "a text", OPTIONAL, any, |text| format!("{text:?}"))
    }

    /// Reads a text that is shown nowhere.
    pub fn secret(&mut self, key: &'static str) -> Option<String> {
        let any = |value: &Value| value.clone().into_string().filter(|text| !text.is_empty());
        self.read(key, None, "a text", (true, true), any, |_| "(secret)".to_owned())
    }

    /// Reads texts: a list, or one text with commas.
    pub fn texts(&mut self, key: &'static str, default: &[&str]) -> Vec<String> {
        let list = |value: &Value| match value {
            Value::Array(_, items) => items.iter().map(|item| item.clone().into_string()).collect(),
            Value::String(_, text) => Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
            _ => None,
        };
        let whole =
            move |value: &Value| list(value).filter(|list: &Vec<String>| list.iter().all(|item| !item.is_empty()));
        let default = default.iter().map(|item| (*item).to_owned()).collect();
        self.read(key, Some(default), "a list of texts", REQUIRED, whole, |list| format!("{list:?}"))
            .expect("by default")
    }

    /// Reads one of several names.
    pub fn choice(&mut self, key: &'static str, default: &str, names: &[&str]) -> String {
        let known = |value: &Value| value.as_str().filter(|given| names.contains(given)).map(str::to_owned);
        let limits = || format!("one of {}", names.join(", "));
        self.read(key, Some(default.to_owned()), limits(), REQUIRED, known, |name| format!("{name:?}"))
            .expect("by default")
    }

    /// Reads which part is chosen; `None` if there is no such part.
    ///
    /// Nothing else in the section is then judged: nobody knows what the part would have asked for.
    pub(super) fn kind(&mut self, default: &'static str, names: &[&str]) -> Option<String> {
        const KIND: &str = "kind";
        if let Some(given) = self.dict.get(KIND).and_then(Value::as_str).filter(|given| !names.contains(given)) {
            let told = format!("must be one of {}, but {} was given", names.join(", "), quote(given));
            let meant = super::spell::nearest(given, names.iter().copied());
            let meant = meant.map_or_else(String::new, |name| format!("; did you mean {name}?"));
            self.reader.note(&self.at(KIND), told + &meant, self.dict.get(KIND));
            return None;
        }
        Some(self.choice(KIND, default, names))
    }

    /// Reads yes or no: also the texts `1` and `0`, as variables have them.
    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let text = |text: &str| match text {
            "1" => Some(true),
            "0" => Some(false),
            text => text.parse().ok(),
        };
        let flag = |value: &Value| value.to_bool().or_else(|| text(value.as_str()?));
        self.read(key, Some(default), "true or false", REQUIRED, flag, |flag| flag.to_string()).expect("by default")
    }

    /// Reads a whole number.
    pub fn count(&mut self, key: &'static str, default: usize, range: RangeInclusive<usize>) -> usize {
        self.whole(key, Some(default), &range, false).expect("by default")
    }

    /// Reads a whole number that need not be there.
    pub fn optional_count(&mut self, key: &'static str, range: RangeInclusive<usize>) -> Option<usize> {
        self.whole(key, None, &range, true)
    }

    pub(super) fn whole(
        &mut self,
        key: &'static str,
        default: Option<usize>,
        range: &RangeInclusive<usize>,
        optional: bool,
    ) -> Option<usize> {
        let whole = |value: &Value| integer(value).filter(|count| range.contains(count));
        let limits = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(key, default, limits, (false, optional), whole, ToString::to_string)
    }

    /// Reads any number.
    pub fn number(&mut self, key: &'static str, default: f64, range: RangeInclusive<f64>) -> f64 {
        self.real(key, Some(default), &range, false).expect("by default")
    }

    /// Reads any number that need not be there.
    pub fn optional_number(&mut self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        self.real(key, None, &range, true)
    }

    pub(super) fn real(
        &mut self,
        key: &'static str,
        default: Option<f64>,
        range: &RangeInclusive<f64>,
        optional: bool,
    ) -> Option<f64> {
        let number = |value: &Value| {
            let whole = || value.to_i128().map(|whole| whole as f64);
            let number = value.to_f64().or_else(whole).or_else(|| value.as_str()?.trim().parse().ok())?;
            range.contains(&number).then_some(number)
        };
        let limits = format!("a number from {} to {}", range.start(), range.end());
        self.read(key, default, limits, (false, optional), number, |number| format!("{number:?}"))
    }

    /// Reads a number of bytes, such as `64 MiB`.
    pub fn bytes(&mut self, key: &'static str, default: usize, range: RangeInclusive<usize>) -> usize {
        self.size(key, Some(default), &range, false).expect("by default")
    }

    /// Reads a number of bytes that need not be there.
    pub fn optional_bytes(&mut self, key: &'static str, range: RangeInclusive<usize>) -> Option<usize> {
        self.size(key, None, &range, true)
    }

    pub(super) fn size(
        &mut self,
        key: &'static str,
        default: Option<usize>,
        range: &RangeInclusive<usize>,
        optional: bool,
    ) -> Option<usize> {
        let bytes = |value: &Value| {
            let text = || usize::try_from(units::size(value.as_str()?)?).ok();
            integer(value).or_else(text).filter(|bytes| range.contains(bytes))
        };
        let (least, most) = (Size(*range.start() as u64), Size(*range.end() as u64));
        let limits = if *range.end() >= isize::MAX.unsigned_abs() {
            format!("a size such as \"64 MiB\", at least {least}")
        } else {
            format!("a size such as \"64 MiB\", from {least} to {most}")
        };
        self.read(key, default, limits, (false, optional), bytes, |bytes| quoted(Size(*bytes as u64)))
    }

    /// Reads a span of time, such as `1m 30s`.
    pub fn span(&mut self, key: &'static str, default: Duration, range: RangeInclusive<Duration>) -> Duration {
        self.time(key, Some(default), &range, false).expect("by default")
    }

    /// Reads a span of time that need not be there.
    pub fn optional_span(&mut self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
        self.time(key, None, &range, true)
    }

    pub(super) fn time(
        &mut self,
        key: &'static str,
        default: Option<Duration>,
        range: &RangeInclusive<Duration>,
        optional: bool,
    ) -> Option<Duration> {
        let span = |value: &Value| {
            let text = value.as_str().and_then(units::span);
            text.or_else(|| (integer(value) == Some(0)).then_some(Duration::ZERO)).filter(|span| range.contains(span))
        };
        let limits = format!("a time such as \"1m 30s\", from {} to {}", Span(*range.start()), Span(*range.end()));
        self.read(key, default, limits, (false, optional), span, |span| quoted(Span(*span)))
    }

    /// Reads the name of an eviction policy: one of this crate, or one from the [`Registry`](super::Registry).
    pub fn policy(&mut self, key: &'static str, default: &'static str) -> Arc<MakePolicy> {
        let policies = self.reader.policies;
        let names: Vec<_> = policies.names().collect();
        let name = self.choice(key, default, &names);
        policies.get(&name).or_else(|| policies.get(default)).unwrap_or_else(super::registry::default_policy)
    }

    /// Notes that a setting is wrong for a reason of your own, such as `must not be above max_idle`.
    pub fn refuse(&mut self, key: &'static str, why: impl fmt::Display) {
        let path = self.at(key);
        let value = self.dict.get(key).cloned();
        self.reader.note(&path, why.to_string(), value.as_ref());
    }

    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn read<T: Clone>(
        &mut self,
        key: &'static str,
        default: Option<T>,
        limits: impl Into<String>,
        (secret, optional): (bool, bool),
        parse: impl Fn(&Value) -> Option<T>,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        self.asked.push(key);
        let (path, limits) = (self.at(key), limits.into());
        let given_value = self.dict.get(key);
        let value = given_value.filter(|value| value.as_str() != Some(NONE) || !optional && parse(value).is_some());
        let parsed = value.map(&parse);
        if let (Some(value), Some(None)) = (value, &parsed) {
            let given = if secret { "something else".to_owned() } else { given(value) };
            self.reader.note(&path, format!("must be {limits}, but {given} was given"), Some(value));
        }
        let shown = |value: &Option<T>| value.as_ref().map_or_else(|| quoted(NONE), &show);
        let source = given_value.and_then(|value| origin(self.reader.figment, value, &path));
        // What a section leaves to another one is that one's.
        let listed = !self.inherits || source.is_some();
        let shown_default = shown(&default);
        let unset = optional && value.is_none() && given_value.is_some();
        let effective = parsed.flatten().or(if unset { None } else { default });
        if listed {
            let value = shown(&effective);
            self.reader.settings.borrow_mut().push(Setting { path, value, default: shown_default, limits, source });
        }
        effective
    }

    /// Notes what nobody asked for.
    pub(super) fn finish(self) {
        for (key, value) in &self.dict {
            if !self.asked.contains(&key.as_str()) {
                self.reader.unknown(&self.path, key, self.asked.iter().copied(), value);
            }
        }
    }
}

impl fmt::Debug for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section").field("path", &self.path).finish_non_exhaustive()
    }
}
