//! Lists, page by page.

use std::ops::Bound;

use serde_json::{Value, json};

use super::{Context, Failure, Item, Name, Plane};

impl<T: Item> Plane<T> {
    /// One entry for each name, by name.
    pub(in super::super) fn list(&self, context: &Context<'_>) -> Value {
        let objects = self.objects.range::<str, _>((after(context), Bound::Unbounded));
        let entries = objects.map(|(folded, object)| {
            let version = object.newest();
            let summary = version.item.summary(&object.id(context.base, None));
            (folded.as_str(), version.with_attributes(summary))
        });
        page(entries, T::PATH, context)
    }

    /// One entry for each version, by id, as Azure sorts them.
    pub(in super::super) fn list_versions(&self, name: &Name, context: &Context<'_>) -> Result<Value, Failure> {
        let object = self.object(name)?;
        let mut versions: Vec<_> = object.versions.iter().collect();
        versions.sort_by(|a, b| a.id.cmp(&b.id));
        let begin = context.query.after.as_deref().unwrap_or_default();
        let entries = versions.into_iter().filter(|version| version.id.as_str() > begin).map(|version| {
            let summary = version.item.summary(&object.id(context.base, Some(&version.id)));
            (version.id.as_str(), version.with_attributes(summary))
        });
        Ok(page(entries, &format!("{}/{}/versions", T::PATH, object.name), context))
    }

    pub(in super::super) fn list_deleted(&self, context: &Context<'_>) -> Value {
        let deleted = self.deleted.range::<str, _>((after(context), Bound::Unbounded));
        let entries = deleted.map(|(folded, deleted)| {
            let object = &deleted.object;
            let version = object.newest();
            let summary = version.item.summary(&object.id(context.base, None));
            (folded.as_str(), deleted.with_recovery(context.base, version.with_attributes(summary)))
        });
        page(entries, &format!("deleted{}", T::PATH), context)
    }
}

fn after<'a>(context: &Context<'a>) -> Bound<&'a str> {
    context.query.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded)
}

fn page<'a>(mut entries: impl Iterator<Item = (&'a str, Value)>, path: &str, context: &Context<'_>) -> Value {
    let (mut values, mut last) = (Vec::new(), "");
    for (key, value) in entries.by_ref().take(context.query.max_results) {
        values.push(value);
        last = key;
    }
    let more = entries.next().is_some();
    let next = more.then(|| format!("{}/{path}?{}", context.base, context.query.next(last)));
    json!({ "value": values, "nextLink": next })
}
