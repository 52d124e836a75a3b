//! The secrets plane.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    attributes::{GivenAttributes, Tags},
    body,
    failure::Failure,
    name::Name,
    plane::{Context, Item, NewVersion, Plane},
};

/// Longest value, in bytes.
const MAX_VALUE: usize = 25 * 1024;

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Secret {
    value: String,
    content_type: Option<String>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Item for Secret {
    const PATH: &'static str = "secrets";
    const KIND: &'static str = "Secret";
    const NOT_FOUND: &'static str = "SecretNotFound";

    fn describe(&self, id: &str) -> Value {
        self.summary(id)
    }

    fn summary(&self, id: &str) -> Value {
        let mut out = json!({ "id": id });
        if let Some(content_type) = &self.content_type {
            out["contentType"] = content_type.as_str().into();
        }
        out
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Set {
    value: Option<String>,
    content_type: Option<String>,
    attributes: Option<GivenAttributes>,
    tags: Option<Tags>,
}

impl Plane<Secret> {
    pub(super) fn set(&mut self, name: &Name, id: String, bytes: &[u8], at: &Context<'_>) -> Result<Value, Failure> {
        let given: Set = body(bytes)?;
        let value = given.value.ok_or_else(|| Failure::bad("The parameter value must be given."))?;
        if value.len() > MAX_VALUE {
            let limit = format_args!("at most {MAX_VALUE} bytes long");
            return Err(Failure::field("value", limit, format_args!("{} bytes", value.len())));
        }
        let item = Secret { value, content_type: content_type(given.content_type)? };
        let new = NewVersion { item, attributes: given.attributes.as_ref(), tags: given.tags, id };
        let object = self.add(name, new, at.now)?;
        let version = object.newest();
        Ok(with_value(object.bundle(at.base, version), &version.item))
    }

    pub(super) fn get(&self, name: &Name, version: Option<&str>, at: &Context<'_>) -> Result<Value, Failure> {
        let (object, version) = self.version(name, version)?;
        // Outside of nbf and exp, Azure still answers: those are for information.
        if !version.attributes.enabled {
            return Err(Failure::forbidden("Operation get is not allowed on a disabled secret.", "SecretDisabled"));
        }
        Ok(with_value(object.bundle(at.base, version), &version.item))
    }

    pub(super) fn patch(
        &mut self,
        name: &Name,
        version: Option<&str>,
        bytes: &[u8],
        at: &Context<'_>,
    ) -> Result<Value, Failure> {
        let given: Set = body(bytes)?;
        if given.value.is_some() {
            return Err(Failure::bad("The value of a version cannot be changed: set a new one."));
        }
        let content_type = content_type(given.content_type)?;
        self.update(name, version, (given.attributes.as_ref(), given.tags), at, |secret| {
            secret.content_type = content_type.or_else(|| secret.content_type.take());
        })
    }
}

fn with_value(mut bundle: Value, secret: &Secret) -> Value {
    bundle["value"] = secret.value.as_str().into();
    bundle
}

fn content_type(text: Option<String>) -> Result<Option<String>, Failure> {
    match text.as_ref().map(|text| text.chars().count()).filter(|len| *len > 255) {
        Some(len) => Err(Failure::field("contentType", "at most 255 characters long", len)),
        None => Ok(text),
    }
}
