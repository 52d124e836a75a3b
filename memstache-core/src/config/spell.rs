//! What somebody may have meant.

use std::borrow::Cow;

/// Longest name, in bytes, that is compared with what is known: the cost grows with the length.
const LONGEST_COMPARED: usize = 64;
/// Longest name, in characters, that is shown whole.
const LONGEST_SHOWN: usize = 64;

/// Returns a name as it is shown: cut off where it is long, and in one line.
pub(super) fn shown(name: &str) -> Cow<'_, str> {
    let cut = name.char_indices().nth(LONGEST_SHOWN).map(|(end, _)| &name[..end]);
    let text = cut.unwrap_or(name);
    let text: Cow<'_, str> =
        if text.contains(char::is_control) { text.escape_debug().to_string().into() } else { text.into() };
    if cut.is_some() { format!("{text}…").into() } else { text }
}

/// Returns the name that is closest to what was given, if any is close.
pub(super) fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if given.len() > LONGEST_COMPARED {
        return None;
    }
    let lower = given.to_lowercase();
    let far = |name: &str| strsim::damerau_levenshtein(&lower, name);
    let (distance, name) = names.into_iter().map(|name| (far(name), name)).min()?;
    (distance <= (given.chars().count() / 3).max(1)).then_some(name)
}

/// Says what was meant, or what there is: `did you mean ttl?`, `known are a, b`.
pub(super) fn hint<'a>(given: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(given, names.clone()) {
        Some(name) => format!("did you mean {name}?"),
        None => {
            let names: Vec<_> = names.into_iter().collect();
            if names.is_empty() {
                "nothing can be set here".to_owned()
            } else {
                format!("known are {}", names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_close_is_meant_and_what_is_not_is_told_all() {
        let names = ["max_bytes", "shards", "policy"];
        assert_eq!(hint("max_byte", names), "did you mean max_bytes?");
        assert_eq!(hint("Max_Bytes", names), "did you mean max_bytes?");
        assert_eq!(hint("plicoy", names), "did you mean policy?");
        assert_eq!(hint("colour", names), "known are max_bytes, shards, policy");
        assert_eq!(hint("x", []), "nothing can be set here");
    }

    #[test]
    fn long_names_are_compared_with_nothing_and_cut_off() {
        let long = format!("shards{}", "s".repeat(1 << 20));
        assert_eq!(nearest(&long, ["shards"]), None);
        assert_eq!(shown(&long), format!("{}…", &long[..64]));
        let short = "ä".repeat(64);
        assert_eq!(shown(&short), short);
        assert_eq!(shown("two\nlines"), "two\\nlines");
    }
}
