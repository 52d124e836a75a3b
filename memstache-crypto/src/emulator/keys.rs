//! The keys plane.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    attributes::{GivenAttributes, Tags},
    body,
    failure::Failure,
    name::Name,
    operation::Operation,
    plane::{Context, Item, NewVersion, Plane, Version},
    policy::Policy,
    rsa::{Jwk, Padding, RsaKey},
};

/// What a key may be used for, all of which a key may that is not told.
const KEY_OPS: [&str; 6] = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) rsa: RsaKey,
    ops: Vec<String>,
}

impl Item for Key {
    const PATH: &'static str = "keys";
    const KIND: &'static str = "Key";
    const NOT_FOUND: &'static str = "KeyNotFound";

    fn describe(&self, id: &str) -> Value {
        let mut jwk = self.rsa.describe();
        jwk["kid"] = id.into();
        jwk["key_ops"] = json!(self.ops);
        json!({ "key": jwk })
    }

    fn summary(&self, id: &str) -> Value {
        json!({ "kid": id })
    }
}

/// A key that is made or imported, before it has a name and a version.
#[derive(Debug)]
pub(super) struct NewKey {
    key: Key,
    attributes: Option<GivenAttributes>,
    tags: Option<Tags>,
}

#[derive(Deserialize)]
struct Create {
    kty: Option<String>,
    key_size: Option<u32>,
    public_exponent: Option<u32>,
    key_ops: Option<Vec<String>>,
    attributes: Option<GivenAttributes>,
    tags: Option<Tags>,
}

#[derive(Deserialize)]
struct Import {
    key: Option<Jwk>,
    #[serde(rename = "Hsm")]
    hsm: Option<bool>,
    attributes: Option<GivenAttributes>,
    tags: Option<Tags>,
}

#[derive(Deserialize)]
struct Update {
    key_ops: Option<Vec<String>>,
    attributes: Option<GivenAttributes>,
    tags: Option<Tags>,
}

#[derive(Deserialize)]
struct Use {
    alg: Option<String>,
    value: Option<String>,
}

impl NewKey {
    /// Makes a key as the body asks. It takes its time: not under a lock.
    pub(super) fn create(bytes: &[u8]) -> Result<Self, Failure> {
        let given: Create = body(bytes)?;
        check_type(given.kty.as_deref())?;
        if let Some(exponent) = given.public_exponent.filter(|exponent| *exponent != 65537) {
            return Err(Failure::field("public_exponent", "65537", exponent));
        }
        let ops = key_ops(given.key_ops)?;
        let rsa = RsaKey::generate(given.key_size.unwrap_or(2048))?;
        Ok(Self { key: Key { rsa, ops }, attributes: given.attributes, tags: given.tags })
    }

    pub(super) fn import(bytes: &[u8]) -> Result<Self, Failure> {
        let given: Import = body(bytes)?;
        let mut jwk = given.key.ok_or_else(|| Failure::bad("The parameter key must be given."))?;
        check_type(jwk.kty.as_deref())?;
        if given.hsm == Some(true) {
            return Err(Failure::field("Hsm", "false in the emulator", true));
        }
        let ops = key_ops(jwk.key_ops.take())?;
        let key = Key { rsa: RsaKey::import(&jwk)?, ops };
        Ok(Self { key, attributes: given.attributes, tags: given.tags })
    }
}

/// A use of a key that is allowed: what is left to do needs no lock.
#[derive(Debug)]
pub(super) struct Ready {
    version: Arc<Version<Key>>,
    kid: String,
}

impl Ready {
    pub(super) fn run(&self, operation: Operation, bytes: &[u8]) -> Result<Value, Failure> {
        let given: Use = body(bytes)?;
        let padding = Padding::named(given.alg.as_deref().unwrap_or_default())?;
        let value = given.value.ok_or_else(|| Failure::bad("The parameter value must be given."))?;
        let text = |_| Failure::field("value", "base64url without padding", "something else");
        let value = BASE64URL_NOPAD.decode(value.trim_end_matches('=').as_bytes()).map_err(text)?;
        let rsa = &self.version.item.rsa;
        let out = match operation {
            Operation::Encrypt | Operation::WrapKey => BASE64URL_NOPAD.encode(&rsa.encrypt(padding, &value)?),
            _ => BASE64URL_NOPAD.encode(&rsa.decrypt(padding, &value)?),
        };
        Ok(json!({ "kid": self.kid, "value": out }))
    }
}

impl Plane<Key> {
    pub(super) fn add_key(&mut self, name: &Name, id: String, new: NewKey, at: &Context<'_>) -> Result<Value, Failure> {
        let version = NewVersion { item: new.key, attributes: new.attributes.as_ref(), tags: new.tags, id };
        let object = self.add(name, version, at.now)?;
        Ok(object.bundle(at.base, object.newest()))
    }

    pub(super) fn get(&self, name: &Name, version: Option<&str>, at: &Context<'_>) -> Result<Value, Failure> {
        let (object, version) = self.version(name, version)?;
        Ok(object.bundle(at.base, version))
    }

    pub(super) fn patch(
        &mut self,
        name: &Name,
        version: Option<&str>,
        bytes: &[u8],
        at: &Context<'_>,
    ) -> Result<Value, Failure> {
        let given: Update = body(bytes)?;
        let ops = given.key_ops.map(|ops| key_ops(Some(ops))).transpose()?;
        self.update(name, version, (given.attributes.as_ref(), given.tags), at, |key| {
            if let Some(ops) = ops {
                key.ops = ops;
            }
        })
    }

    /// Finds the version and refuses what it may not be used for.
    ///
    /// Outside of `nbf` and `exp`, a key still decrypts and unwraps, as Azure's does.
    pub(super) fn ready(
        &self,
        operation: Operation,
        name: &Name,
        version: Option<&str>,
        at: &Context<'_>,
    ) -> Result<Ready, Failure> {
        let (object, version) = self.version(name, version)?;
        let (word, makes) = match operation {
            Operation::Encrypt => ("encrypt", true),
            Operation::WrapKey => ("wrapKey", true),
            Operation::Decrypt => ("decrypt", false),
            _ => ("unwrapKey", false),
        };
        let refused =
            |why: &str, inner| Err(Failure::forbidden(format!("Operation {word} is not allowed on {why}."), inner));
        if !version.attributes.enabled {
            return refused("a disabled key", "KeyDisabled");
        }
        if makes && !version.attributes.is_current(at.now) {
            return refused("an expired or not yet valid key", "KeyNotCurrent");
        }
        if !version.item.ops.iter().any(|op| op == word) {
            return refused("this key", "KeyOperationForbidden");
        }
        let described = object.bundle(at.base, version);
        let kid = described["key"]["kid"].as_str().unwrap_or_default().to_owned();
        Ok(Ready { version: Arc::clone(version), kid })
    }

    /// The newest version if the policy says that a new one is due.
    pub(super) fn due(&self, name: &Name, now: i64) -> Option<(String, u32)> {
        let object = self.object(name).ok()?;
        let newest = object.newest();
        let due = object.policy.as_ref()?.is_due(&newest.attributes, now);
        due.then(|| (newest.id.clone(), newest.item.rsa.bits()))
    }

    /// The newest version and the length of its key.
    pub(super) fn newest(&self, name: &Name) -> Result<(String, u32), Failure> {
        let newest = self.object(name)?.newest();
        Ok((newest.id.clone(), newest.item.rsa.bits()))
    }

    /// Adds a version that is like the newest one, with a key of its own.
    pub(super) fn rotate(&mut self, name: &Name, id: String, rsa: RsaKey, at: &Context<'_>) -> Result<Value, Failure> {
        let object = self.object(name)?;
        let newest = object.newest();
        let exp = object.policy.as_ref().and_then(|policy| policy.expires_at(at.now));
        let item = Key { rsa, ops: newest.item.ops.clone() };
        let tags = Some(newest.tags.clone());
        let attributes = GivenAttributes::expiring(exp);
        let object = self.add(name, NewVersion { item, attributes: Some(&attributes), tags, id }, at.now)?;
        Ok(object.bundle(at.base, object.newest()))
    }

    pub(super) fn policy(&self, name: &Name, at: &Context<'_>) -> Result<Value, Failure> {
        let object = self.object(name)?;
        let id = format!("{}/keys/{name}/rotationpolicy", at.base);
        Ok(object.policy.clone().unwrap_or_default().describe(&id))
    }

    pub(super) fn set_policy(&mut self, name: &Name, bytes: &[u8], at: &Context<'_>) -> Result<Value, Failure> {
        let object = self.object_mut(name)?;
        object.policy = Some(Policy::parse(bytes, object.policy.as_ref(), at.now)?);
        self.policy(name, at)
    }
}

fn check_type(kty: Option<&str>) -> Result<(), Failure> {
    match kty {
        Some("RSA") => Ok(()),
        Some(_) => Err(Failure::field("kty", "RSA in the emulator", "another type")),
        None => Err(Failure::bad("The parameter kty must be given.")),
    }
}

fn key_ops(given: Option<Vec<String>>) -> Result<Vec<String>, Failure> {
    let Some(mut ops) = given else { return Ok(KEY_OPS.map(str::to_owned).to_vec()) };
    if ops.iter().any(|op| !KEY_OPS.contains(&op.as_str())) {
        return Err(Failure::field("key_ops", format_args!("of {}", KEY_OPS.join(", ")), "another operation"));
    }
    ops.sort();
    ops.dedup();
    Ok(ops)
}
