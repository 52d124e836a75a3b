//! Secrets or keys by name, with versions and soft delete.

mod deleted;
mod list;
mod seal;

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use self::deleted::Deleted;
pub(super) use self::seal::BackupKey;
use super::{
    attributes::{Attributes, GivenAttributes, Tags, checked},
    failure::Failure,
    name::Name,
    policy::Policy,
    query::Query,
};

/// What a plane holds.
pub(super) trait Item: Clone + Debug + Serialize + DeserializeOwned {
    /// `secrets` or `keys`.
    const PATH: &'static str;
    /// `Secret` or `Key`.
    const KIND: &'static str;
    const NOT_FOUND: &'static str;

    /// All of it but the value of a secret, without attributes and tags.
    fn describe(&self, id: &str) -> Value;

    /// What lists show of it.
    fn summary(&self, id: &str) -> Value;
}

/// When and at which address a call arrives.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// Seconds since 1970.
    pub(super) now: i64,
    /// Scheme, host and port as the client wrote them.
    pub(super) base: &'a str,
    pub(super) query: &'a Query,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Version<T> {
    pub(super) id: String,
    pub(super) attributes: Attributes,
    pub(super) tags: Tags,
    pub(super) item: T,
}

/// All versions under a name, the newest last; never empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
pub(super) struct Object<T> {
    name: Name,
    versions: Vec<Arc<Version<T>>>,
    /// Keys only.
    #[serde(default)]
    pub(super) policy: Option<Policy>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: DeserializeOwned"))]
pub(super) struct Plane<T> {
    objects: BTreeMap<String, Object<T>>,
    deleted: BTreeMap<String, Deleted<T>>,
}

impl<T> Default for Plane<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), deleted: BTreeMap::new() }
    }
}

impl<T: Item> Object<T> {
    fn new(name: Name, first: Version<T>) -> Self {
        Self { name, versions: vec![Arc::new(first)], policy: None }
    }

    pub(super) fn newest(&self) -> &Arc<Version<T>> {
        self.versions.last().expect("an object has a version")
    }

    fn id(&self, base: &str, version: Option<&str>) -> String {
        let slash = if version.is_some() { "/" } else { "" };
        format!("{base}/{}/{}{slash}{}", T::PATH, self.name, version.unwrap_or_default())
    }

    /// Everything about a version but a secret's value.
    pub(super) fn bundle(&self, base: &str, version: &Version<T>) -> Value {
        let described = version.item.describe(&self.id(base, Some(&version.id)));
        version.with_attributes(described)
    }
}

impl<T> Version<T> {
    fn with_attributes(&self, mut json: Value) -> Value {
        json["attributes"] = self.attributes.describe();
        json["tags"] = json!(self.tags);
        json
    }
}

/// A version before it has its id.
#[derive(Debug)]
pub(super) struct NewVersion<'a, T> {
    pub(super) item: T,
    pub(super) attributes: Option<&'a GivenAttributes>,
    pub(super) tags: Option<Tags>,
    pub(super) id: String,
}

impl<T: Item> Plane<T> {
    /// How many versions there are, deleted ones among them.
    pub(super) fn versions(&self) -> usize {
        let deleted = self.deleted.values().map(|it| it.object.versions.len());
        self.objects.values().map(|it| it.versions.len()).chain(deleted).sum()
    }

    /// Whether what was read from a file can be worked with.
    pub(super) fn is_sound(&self) -> bool {
        let deleted = self.deleted.iter().map(|(folded, deleted)| (folded, &deleted.object));
        let mut all = self.objects.iter().chain(deleted);
        let alone = !self.deleted.keys().any(|folded| self.objects.contains_key(folded));
        alone && all.all(|(folded, object)| !object.versions.is_empty() && *folded == object.name.folded())
    }

    /// Adds a version, and the object if it is the first.
    pub(super) fn add(&mut self, name: &Name, new: NewVersion<'_, T>, now: i64) -> Result<&mut Object<T>, Failure> {
        self.refuse_deleted(name)?;
        let attributes = Attributes::new(new.attributes, now)?;
        let tags = checked(new.tags.unwrap_or_default())?;
        let version = Version { id: new.id, attributes, tags, item: new.item };
        Ok(match self.objects.entry(name.folded()) {
            std::collections::btree_map::Entry::Vacant(slot) => slot.insert(Object::new(name.clone(), version)),
            std::collections::btree_map::Entry::Occupied(slot) => {
                let object = slot.into_mut();
                object.versions.push(Arc::new(version));
                object
            }
        })
    }

    pub(super) fn object(&self, name: &Name) -> Result<&Object<T>, Failure> {
        self.objects.get(&name.folded()).ok_or_else(|| not_found::<T>(name))
    }

    pub(super) fn object_mut(&mut self, name: &Name) -> Result<&mut Object<T>, Failure> {
        self.objects.get_mut(&name.folded()).ok_or_else(|| not_found::<T>(name))
    }

    /// A version of a name, the newest if none is asked for.
    pub(super) fn version(
        &self,
        name: &Name,
        version: Option<&str>,
    ) -> Result<(&Object<T>, &Arc<Version<T>>), Failure> {
        let object = self.object(name)?;
        let found = match version {
            None => Some(object.newest()),
            Some(id) => object.versions.iter().find(|it| it.id.eq_ignore_ascii_case(id)),
        };
        found.map(|found| (object, found)).ok_or_else(|| not_found::<T>(name))
    }

    /// Changes attributes and tags of a version, and whatever else `change` does.
    pub(super) fn update(
        &mut self,
        name: &Name,
        version: Option<&str>,
        (attributes, tags): (Option<&GivenAttributes>, Option<Tags>),
        context: &Context<'_>,
        change: impl FnOnce(&mut T),
    ) -> Result<Value, Failure> {
        let tags = tags.map(checked).transpose()?;
        let id = self.version(name, version)?.1.id.clone();
        let object = self.object_mut(name)?;
        let found = object.versions.iter_mut().find(|it| it.id == id).expect("it was just found");
        let mut changed = Version::clone(found);
        changed.attributes.update(attributes, context.now)?;
        changed.tags = tags.unwrap_or(changed.tags);
        change(&mut changed.item);
        *found = Arc::new(changed);
        let (object, version) = self.version(name, Some(&id))?;
        Ok(object.bundle(context.base, version))
    }
}

fn not_found<T: Item>(name: &Name) -> Failure {
    let kind = T::KIND.to_ascii_lowercase();
    let message = format!(
        "A {kind} with (name/id) {name} was not found in this key vault. If you recently deleted this {kind} you may be \
         able to recover it using the correct recovery command."
    );
    Failure::new(404, T::NOT_FOUND, message)
}
