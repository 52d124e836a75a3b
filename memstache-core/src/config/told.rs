//! What is told of a section: what is wrong, what nobody knows, and what has no effect.

use figment::value::Value;

use super::{
    Section, Setting,
    problem::Problem,
    section::Reader,
    source::origin,
    spell::{hint, shown},
};
use crate::error::{Error, ErrorKind};

/// What parts call their settings in errors, where that is not how they are spelt here.
const OTHER_NAMES: [(&str, &str); 1] = [("the cache's name", "name")];

impl Section<'_> {
    /// Notes what has no effect if this section is switched off by its `enabled`.
    #[cfg(feature = "resilience")]
    pub(super) fn switched(&self, on: bool) {
        const SWITCH: &str = "enabled";
        if !on {
            self.reader.without_effect(&self.path, &[SWITCH], &format!("{} is false", self.at(SWITCH)));
        }
    }

    /// Notes what is to be said of a setting that somebody has changed, and that is no error.
    pub(super) fn warn(&self, key: &str, message: &str) {
        let path = self.at(key);
        let settings = self.reader.settings.borrow();
        let changed = settings.iter().rev().find(|setting| setting.path == path);
        if let Some(setting) = changed.filter(|it| it.source.is_some() && it.value != it.default) {
            self.reader.warn(setting, message);
        }
    }

    /// Notes what a part said that could not be made: at the setting of which it speaks, if it names one.
    pub(super) fn failed(&self, error: &Error) {
        let text = error.to_string();
        // A builder says all that is wrong in one line.
        let blamed: Option<Vec<_>> = text.split("; ").map(|part| self.blamed(part)).collect();
        match blamed.filter(|_| error.kind() == ErrorKind::Invalid) {
            Some(blamed) => blamed.into_iter().for_each(|(key, why)| match key {
                Some(key) => self.reader.note(&self.at(key), why, self.dict.get(key)),
                None => self.reader.note(&self.path, why, None),
            }),
            None => self.reader.note(&self.path, format!("cannot be used: {error}"), None),
        }
    }

    /// Takes apart what [`Error::invalid`] says, where it speaks of a setting of this section, or of the section itself.
    fn blamed(&self, text: &str) -> Option<(Option<&'static str>, String)> {
        const MUST: &str = " must be ";
        let (field, _) = text.split_once(MUST)?;
        let why = text[field.len() + 1..].to_owned();
        let own = self.path.rsplit('.').next().unwrap_or_default();
        let other = OTHER_NAMES.into_iter().find(|(name, _)| *name == field).map(|(_, key)| key.to_owned());
        // A part may put its own name first: `rate burst`.
        let key = other.unwrap_or_else(|| {
            field.split_once(' ').filter(|(part, _)| *part == own).map_or(field, |(_, rest)| rest).replace(' ', "_")
        });
        match self.asked.iter().find(|asked| **asked == key) {
            Some(key) => Some((Some(key), why)),
            None => own.ends_with(field).then_some((None, why)),
        }
    }
}

impl Reader<'_> {
    /// Notes that a feature is not built in.
    #[cfg(not(feature = "resilience"))]
    pub(super) fn needs(&self, path: &str, feature: &str, value: &Value) {
        self.note(path, format!("needs the feature `{feature}` of memstache-core"), Some(value));
    }

    /// Notes a setting or a section that nobody asked for.
    pub(super) fn unknown<'n>(
        &self,
        section: &str,
        key: &str,
        known: impl IntoIterator<Item = &'n str> + Clone,
        value: &Value,
    ) {
        let dot = if section.is_empty() { "" } else { "." };
        // Nobody reads what was meant by each of thousands.
        let full = self.problems.borrow().is_full();
        let message = if full { String::new() } else { format!("is unknown; {}", hint(key, known)) };
        self.note(&format!("{section}{dot}{}", shown(key)), message, Some(value));
    }

    /// Notes those settings of a section that somebody has changed for nothing; without those that are named.
    pub(super) fn without_effect(&self, section: &str, but: &[&str], why: &str) {
        let settings = self.settings.borrow();
        let within = |setting: &&Setting| {
            let key = setting.path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.'));
            key.is_some_and(|key| !but.contains(&key)) && setting.source.is_some() && setting.value != setting.default
        };
        for setting in settings.iter().filter(within) {
            self.warn(setting, &format!("has no effect: {why}"));
        }
    }

    /// Takes note of a setting that does not do what somebody may think; of the first reason.
    fn warn(&self, setting: &Setting, message: &str) {
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.has(&setting.path) {
            let (path, source) = (setting.path.clone(), setting.source.clone());
            warnings.push(Problem { path, message: message.to_owned(), source });
        }
    }

    pub(super) fn note(&self, path: &str, message: String, value: Option<&Value>) {
        let source = value.filter(|_| !self.problems.borrow().is_full());
        let source = source.and_then(|value| origin(self.figment, deepest(value), path));
        self.problems.borrow_mut().push(Problem { path: path.to_owned(), message, source });
    }
}

/// A value in a section that was merged says where it comes from, the section itself may not.
fn deepest(value: &Value) -> &Value {
    match value {
        Value::Dict(_, dict) => dict.values().next().map_or(value, deepest),
        other => other,
    }
}
