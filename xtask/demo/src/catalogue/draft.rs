//! What a caller may say about a product.

use serde::{Deserialize, Serialize};

use super::Category;

const MOST_NAME: usize = 120;
const MOST_DESCRIPTION: usize = 2_000;
const MOST_TAGS: usize = 8;
const MOST_TAG: usize = 32;
const MOST_PRICE: u32 = 100_000_000;
const MOST_STOCK: u32 = 1_000_000;

/// A product without its number and date: the body of a `PUT`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) category: Category,
    pub(crate) tags: Vec<String>,
    pub(crate) price_cents: u32,
    pub(crate) stock: u32,
}

impl Draft {
    /// Checks every field; the error names what is wrong and what is allowed, never what was given.
    pub(crate) fn check(&self) -> Result<(), String> {
        let chars = |text: &str| text.chars().count();
        let good_tag = |tag: &String| (1..=MOST_TAG).contains(&chars(tag)) && !tag.chars().any(char::is_control);
        let rules = [
            (self.name.trim().is_empty() || chars(&self.name) > MOST_NAME, "name", "1 to 120 characters long"),
            (self.name.chars().any(char::is_control), "name", "one line of text"),
            (chars(&self.description) > MOST_DESCRIPTION, "description", "at most 2000 characters long"),
            (self.tags.len() > MOST_TAGS, "tags", "at most 8"),
            (!self.tags.iter().all(good_tag), "each tag", "1 to 32 characters long"),
            (!(1..=MOST_PRICE).contains(&self.price_cents), "price_cents", "from 1 to 100000000"),
            (self.stock > MOST_STOCK, "stock", "at most 1000000"),
        ];
        let wrong: Vec<String> = rules
            .iter()
            .filter(|(broken, ..)| *broken)
            .map(|(_, field, limit)| format!("{field} must be {limit}"))
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::made_up;

    #[test]
    fn each_field_has_its_limits() {
        let good = made_up(1, 0, &mut fastrand::Rng::with_seed(1)).draft;
        assert_eq!(good.check(), Ok(()));
        let cases: [(fn(&mut Draft), &str); 8] = [
            (|draft| draft.name = " ".to_owned(), "name must be 1 to 120 characters long"),
            (|draft| draft.name = "x".repeat(121), "name must be 1 to 120 characters long"),
            (|draft| draft.name = "a\nb".to_owned(), "name must be one line of text"),
            (|draft| draft.description = "x".repeat(2001), "description must be at most 2000 characters long"),
            (|draft| draft.tags = vec!["x".to_owned(); 9], "tags must be at most 8"),
            (|draft| draft.tags = vec![String::new()], "each tag must be 1 to 32 characters long"),
            (|draft| draft.price_cents = 0, "price_cents must be from 1 to 100000000"),
            (|draft| draft.stock = 1_000_001, "stock must be at most 1000000"),
        ];
        for (spoil, message) in cases {
            let mut draft = good.clone();
            spoil(&mut draft);
            assert_eq!(draft.check(), Err(message.to_owned()));
        }
    }
}
