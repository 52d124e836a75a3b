//! Products out of thin air.

use super::{Category, Draft, Product};

const LOOKS: [&str; 12] = [
    "Classic", "Compact", "Everyday", "Folding", "Handmade", "Large", "Light", "Nordic", "Plain", "Slim", "Sturdy",
    "Vintage",
];
const STUFFS: [&str; 12] =
    ["ash", "bamboo", "brass", "ceramic", "cork", "cotton", "enamel", "linen", "oak", "recycled", "steel", "walnut"];
const PROMISES: [&str; 8] = [
    "Made in small batches and checked by hand before it leaves the workshop.",
    "Comes with spare parts, and with a guide to repairing it yourself.",
    "Designed to be used every day and to look better for it.",
    "Packed without plastic and sent within two working days.",
    "A favourite of our customers for more than ten years.",
    "Easy to clean, easy to store, hard to break.",
    "The finish is free of solvents and may vary a little from piece to piece.",
    "Returns are free for sixty days, no questions asked.",
];
const MARKS: [&str; 8] = ["bestseller", "fair-trade", "gift", "new", "refill", "sale", "vegan", "warranty"];

/// Days over which the products were last changed.
const DAYS: i64 = 365;

/// Makes a product up; the same numbers give the same product.
pub(crate) fn made_up(id: u32, now: i64, rng: &mut fastrand::Rng) -> Product {
    let category = Category::any(rng);
    let thing = category.thing(rng);
    let (look, stuff) = (pick(&LOOKS, rng), pick(&STUFFS, rng));
    let description = format!("{look} {thing} in {stuff}. {} {}", pick(&PROMISES, rng), pick(&PROMISES, rng));
    let tags = rng.choose_multiple(MARKS, rng.clone().usize(..=3)).into_iter().map(str::to_owned).collect();
    // Many cheap ones, few dear ones: from 1.50 to about 440.
    let price = (5.0 + 5.7 * rng.f64()).exp() as u32;
    let draft = Draft {
        name: format!("{look} {stuff} {thing}"),
        description,
        category,
        tags,
        price_cents: price,
        stock: rng.u32(0..500),
    };
    Product { id, draft, updated_at: now.saturating_sub(rng.i64(1..DAYS * 86_400_000)) }
}

fn pick(words: &[&'static str], rng: &mut fastrand::Rng) -> &'static str {
    words[rng.usize(..words.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_numbers_give_the_same_products_and_all_are_valid() {
        let all = |seed| {
            let mut rng = fastrand::Rng::with_seed(seed);
            (1..500).map(|id| made_up(id, 1_000_000_000_000, &mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
        assert!(all(1).iter().all(|product| product.draft.check().is_ok()));
    }
}
