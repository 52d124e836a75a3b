//! Reading header fields that hold lists.

use http::{HeaderMap, HeaderName};

/// Returns the elements of a list field over all its lines, trimmed; an element that is not visible ASCII is `None`.
///
/// Quoted commas split too: what they hide can only forbid storing, never allow it.
pub(super) fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Option<&'a str>> {
    headers.get_all(name).iter().flat_map(|value| {
        let text = value.to_str().ok();
        let unreadable = text.is_none().then_some(None);
        let elements = text.into_iter().flat_map(|text| text.split(',')).map(str::trim);
        unreadable.into_iter().chain(elements.filter(|element| !element.is_empty()).map(Some))
    })
}
