//! One invalidation hides all that is cached of a category.

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{
    Load,
    client::{Answer, Connection},
};
use crate::{
    catalogue::{Category, Line, Product},
    place::Place,
};

/// By how much the prices rise: doubling shows on every price.
const PERCENT: u32 = 100;

/// What came of changing the prices of a category.
#[derive(Debug)]
pub(crate) struct Invalidated {
    pub(crate) category: Category,
    pub(crate) place: Place,
    /// Products whose prices were changed.
    pub(crate) products: u64,
    /// What was wrong with the answers before and after.
    pub(crate) faults: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Repriced {
    products: u64,
}

/// Caches a product and its category's lists, changes all prices of the category, and asks again.
pub(crate) async fn invalidate(load: &Load, place: Place) -> Result<Invalidated> {
    let mut connection = Connection::open(load.address).await.context("a connection could not be opened")?;
    let product: Product = connection.product(place).await?.json()?;
    let category = product.draft.category;
    let path = format!("/categories/{category}");
    let lists = [format!("{path}?sort=price"), format!("{path}?sort=name")];
    for list in &lists {
        connection.get(place.shop, list).await?.json::<Vec<Line>>()?;
    }

    let mut faults = Faults::default();
    faults.expect("hit", "the product before", &connection.product(place).await?);
    for list in &lists {
        faults.expect("hit", "a list before", &connection.get(place.shop, list).await?);
    }
    let body = format!("{{\"percent\":{PERCENT}}}");
    let repriced: Repriced = connection.send("POST", place.shop, &format!("{path}/reprice"), &body).await?.json()?;
    for list in &lists {
        faults.expect("miss", "a list after", &connection.get(place.shop, list).await?);
    }
    let answer = connection.product(place).await?;
    faults.expect("miss", "the product after", &answer);
    if answer.json::<Product>()?.draft.price_cents != product.draft.price_cents * (100 + PERCENT) / 100 {
        faults.0.push("the product after has an old price".to_owned());
    }
    faults.expect("hit", "the product after, asked again", &connection.product(place).await?);
    Ok(Invalidated { category, place, products: repriced.products, faults: faults.0 })
}

#[derive(Debug, Default)]
struct Faults(Vec<String>);

impl Faults {
    fn expect(&mut self, cache: &str, what: &str, answer: &Answer) {
        if answer.cache != cache {
            self.0.push(format!("{what} was a {:?}, not a {cache}", answer.cache));
        }
    }
}
