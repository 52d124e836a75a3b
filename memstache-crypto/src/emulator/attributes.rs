//! What secrets and keys have in common: attributes and tags.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::failure::Failure;

/// How long what was deleted can be recovered.
pub(super) const RECOVERABLE_DAYS: i64 = 90;

/// Latest time that a calendar of four-digit years has, in seconds since 1970.
const LATEST: i64 = 253_402_300_799;

pub(super) type Tags = BTreeMap<String, String>;

/// The attributes of a version; times in seconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Attributes {
    pub(super) enabled: bool,
    nbf: Option<i64>,
    pub(super) exp: Option<i64>,
    pub(super) created: i64,
    updated: i64,
}

/// Attributes as a request gives them.
#[derive(Debug, Default, Deserialize)]
pub(super) struct GivenAttributes {
    enabled: Option<bool>,
    nbf: Option<i64>,
    exp: Option<i64>,
    exportable: Option<bool>,
}

impl Attributes {
    /// Those of a new version.
    pub(super) fn new(given: Option<&GivenAttributes>, now: i64) -> Result<Self, Failure> {
        let mut out = Self { enabled: true, nbf: None, exp: None, created: now, updated: now };
        out.update(given, now)?;
        Ok(out)
    }

    /// Takes over what is given and keeps the rest.
    pub(super) fn update(&mut self, given: Option<&GivenAttributes>, now: i64) -> Result<(), Failure> {
        if let Some(given) = given {
            given.check()?;
            self.enabled = given.enabled.unwrap_or(self.enabled);
            self.nbf = given.nbf.or(self.nbf);
            self.exp = given.exp.or(self.exp);
        }
        self.updated = now;
        Ok(())
    }

    /// Whether now is between `nbf` and `exp`, as far as they are set.
    pub(super) fn is_current(&self, now: i64) -> bool {
        self.nbf.is_none_or(|from| from <= now) && self.exp.is_none_or(|until| now < until)
    }

    pub(super) fn describe(&self) -> Value {
        let mut out = json!({
            "enabled": self.enabled,
            "created": self.created,
            "updated": self.updated,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": RECOVERABLE_DAYS,
        });
        for (name, time) in [("nbf", self.nbf), ("exp", self.exp)] {
            if let Some(time) = time {
                out[name] = time.into();
            }
        }
        out
    }
}

impl GivenAttributes {
    /// Only a time at which a version expires.
    pub(super) fn expiring(exp: Option<i64>) -> Self {
        Self { exp, ..Self::default() }
    }

    fn check(&self) -> Result<(), Failure> {
        for (name, time) in [("attributes.nbf", self.nbf), ("attributes.exp", self.exp)] {
            if let Some(time) = time.filter(|time| !(0..=LATEST).contains(time)) {
                return Err(Failure::field(name, format_args!("0 to {LATEST} seconds since 1970"), time));
            }
        }
        if self.exportable == Some(true) {
            return Err(Failure::field("attributes.exportable", "false in the emulator", true));
        }
        Ok(())
    }
}

/// Checks tags: at most 15, names and values of at most 512 characters.
pub(super) fn checked(tags: Tags) -> Result<Tags, Failure> {
    if tags.len() > 15 {
        return Err(Failure::field("tags", "at most 15", tags.len()));
    }
    let longest = tags.iter().map(|(name, value)| name.chars().count().max(value.chars().count())).max();
    match longest.filter(|len| *len > 512) {
        Some(len) => Err(Failure::field("a tag", "of a name and a value of at most 512 characters", len)),
        None => Ok(tags),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(json: &str) -> GivenAttributes {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_update_keeps_what_is_not_given() {
        let mut it = Attributes::new(Some(&given(r#"{"enabled":false,"exp":50}"#)), 10).unwrap();
        it.update(Some(&given(r#"{"nbf":20}"#)), 30).unwrap();
        assert_eq!((it.enabled, it.nbf, it.exp, it.created, it.updated), (false, Some(20), Some(50), 10, 30));
        assert_eq!([19, 20, 49, 50].map(|now| it.is_current(now)), [false, true, true, false]);
        assert_eq!((&it.describe()["exp"], &it.describe()["enabled"]), (&json!(50), &json!(false)));
    }

    #[test]
    fn limits_are_checked() {
        for wrong in [r#"{"nbf":-1}"#, r#"{"exp":253402300800}"#, r#"{"exportable":true}"#] {
            assert_eq!(Attributes::new(Some(&given(wrong)), 0).unwrap_err().status, 400, "{wrong}");
        }
        let tags = |count: usize, len: usize| (0..count).map(|at| (at.to_string(), "x".repeat(len))).collect();
        assert!(checked(tags(15, 512)).is_ok());
        assert!(checked(tags(16, 1)).is_err() && checked(tags(1, 513)).is_err());
    }
}
