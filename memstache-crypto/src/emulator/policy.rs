//! When keys rotate by themselves, and when what they rotate to expires.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{attributes::Attributes, body, failure::Failure};

/// A key's rotation policy. It is put into action when the key is next asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Policy {
    actions: Vec<LifetimeAction>,
    expiry: Option<String>,
    /// Seconds since 1970.
    created: i64,
    updated: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct LifetimeAction {
    trigger: Trigger,
    action: Action,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trigger {
    #[serde(skip_serializing_if = "Option::is_none")]
    time_after_create: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_before_expiry: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Action {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    #[serde(default)]
    lifetime_actions: Vec<LifetimeAction>,
    attributes: Option<GivenAttributes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GivenAttributes {
    expiry_time: Option<String>,
}

impl Policy {
    /// Reads and checks a policy; `before` is the one that it replaces.
    pub(super) fn parse(bytes: &[u8], before: Option<&Self>, now: i64) -> Result<Self, Failure> {
        let given: Given = body(bytes)?;
        if given.lifetime_actions.len() > 2 {
            return Err(Failure::field("lifetimeActions", "at most 2", given.lifetime_actions.len()));
        }
        given.lifetime_actions.iter().try_for_each(LifetimeAction::check)?;
        let expiry = given.attributes.and_then(|attributes| attributes.expiry_time);
        if let Some(text) = &expiry {
            seconds("attributes.expiryTime", text)?;
        }
        let created = before.map_or(now, |before| before.created);
        Ok(Self { actions: given.lifetime_actions, expiry, created, updated: now })
    }

    pub(super) fn describe(&self, id: &str) -> Value {
        let mut out = json!({
            "id": id,
            "lifetimeActions": self.actions,
            "attributes": { "created": self.created, "updated": self.updated },
        });
        if let Some(expiry) = &self.expiry {
            out["attributes"]["expiryTime"] = expiry.as_str().into();
        }
        out
    }

    /// Whether a version is to be followed by a new one.
    pub(super) fn is_due(&self, newest: &Attributes, now: i64) -> bool {
        self.actions.iter().filter(|it| it.rotates()).any(|it| it.trigger.at(newest).is_some_and(|at| at <= now))
    }

    /// When a version expires that is rotated to now.
    pub(super) fn expires_at(&self, now: i64) -> Option<i64> {
        let after = seconds("", self.expiry.as_deref()?).ok()?;
        now.checked_add(after)
    }
}

impl LifetimeAction {
    fn check(&self) -> Result<(), Failure> {
        let Trigger { time_after_create, time_before_expiry } = &self.trigger;
        let ((Some(time), None) | (None, Some(time))) = (time_after_create, time_before_expiry) else {
            return Err(Failure::bad("A trigger must have timeAfterCreate or timeBeforeExpiry, and not both."));
        };
        seconds("the time of a trigger", time)?;
        if !self.rotates() && !self.action.kind.eq_ignore_ascii_case("notify") {
            return Err(Failure::field("action.type", "Rotate or Notify", "another"));
        }
        Ok(())
    }

    fn rotates(&self) -> bool {
        self.action.kind.eq_ignore_ascii_case("rotate")
    }
}

impl Trigger {
    fn at(&self, newest: &Attributes) -> Option<i64> {
        match (&self.time_after_create, &self.time_before_expiry) {
            (Some(after), _) => newest.created.checked_add(seconds("", after).ok()?),
            (None, Some(before)) => newest.exp?.checked_sub(seconds("", before).ok()?),
            (None, None) => None,
        }
    }
}

/// Seconds of an ISO 8601 duration of whole years, months, weeks and days: `P1Y6M`, `P90D`. A year has 365 days here, a
/// month 30.
fn seconds(field: &str, text: &str) -> Result<i64, Failure> {
    days(text).map(|days| days * 24 * 3600).ok_or_else(|| {
        Failure::field(field, "a duration such as P90D or P1Y6M, of 1 day to 100 years", "something else")
    })
}

fn days(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix('P').filter(|rest| !rest.is_empty() && text.len() <= 32)?;
    let mut days: i64 = 0;
    for (unit, length) in [('Y', 365), ('M', 30), ('W', 7), ('D', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            if !number.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            days = number.parse::<i64>().ok()?.checked_mul(length)?.checked_add(days)?;
            rest = after;
        }
    }
    (rest.is_empty() && (1..=36_500).contains(&days)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Result<Policy, Failure> {
        Policy::parse(text.as_bytes(), None, 1000)
    }

    #[test]
    fn durations_are_read() {
        let read = ["P1D", "P90D", "P1Y", "P1Y6M", "P2W", "P100Y"].map(days);
        assert_eq!(read, [Some(1), Some(90), Some(365), Some(545), Some(14), Some(36_500)]);
        for wrong in [
            "",
            "P",
            "90D",
            "P-1D",
            "P+1D",
            "P1",
            "PD",
            "P1DT",
            "PT1H",
            "P0D",
            "P101Y",
            "P1D1Y",
            "P99999999999999999999D",
        ] {
            assert_eq!(days(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_key_is_due_by_its_age_or_before_it_expires() {
        let at = |created, exp| {
            let given = crate::emulator::attributes::GivenAttributes::expiring(exp);
            Attributes::new(Some(&given), created).unwrap()
        };
        let day = 24 * 3600;
        let by_age =
            policy(r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P2D"},"action":{"type":"Rotate"}}]}"#)
                .unwrap();
        assert!(!by_age.is_due(&at(0, None), 2 * day - 1) && by_age.is_due(&at(0, None), 2 * day));
        let by_end = policy(r#"{"lifetimeActions":[{"trigger":{"timeBeforeExpiry":"P1D"},"action":{"type":"rotate"}}],"attributes":{"expiryTime":"P30D"}}"#).unwrap();
        assert!(!by_end.is_due(&at(0, None), 99 * day), "it never expires");
        assert!(!by_end.is_due(&at(0, Some(3 * day)), 2 * day - 1) && by_end.is_due(&at(0, Some(3 * day)), 2 * day));
        assert_eq!((by_end.expires_at(5), by_age.expires_at(5)), (Some(30 * day + 5), None));
        let notify =
            policy(r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P2D"},"action":{"type":"Notify"}}]}"#)
                .unwrap();
        assert!(!notify.is_due(&at(0, None), 99 * day));
    }

    #[test]
    fn limits_are_checked() {
        for wrong in [
            "{",
            r#"{"lifetimeActions":[{"trigger":{},"action":{"type":"Rotate"}}]}"#,
            r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P1D","timeBeforeExpiry":"P1D"},"action":{"type":"Rotate"}}]}"#,
            r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"1D"},"action":{"type":"Rotate"}}]}"#,
            r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P1D"},"action":{"type":"Explode"}}]}"#,
            r#"{"attributes":{"expiryTime":"soon"}}"#,
        ] {
            assert_eq!(policy(wrong).unwrap_err().status, 400, "{wrong}");
        }
    }
}
