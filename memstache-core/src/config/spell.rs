//! What somebody may have meant.

/// Returns the name that is closest to what was given, if any is close.
pub(super) fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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
}
