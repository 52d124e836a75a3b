//! What a path names, checked.

use super::{App, Problem};
use crate::{
    catalogue::Category,
    place::{Place, Shop, parse_id},
};

impl App {
    fn shop(&self, name: &str) -> Result<Shop, Problem> {
        let shops = self.database.size().shops;
        let wrong = || Problem::invalid(format!("the shop must be from {} to {}", Shop(1), Shop(shops)));
        Shop::parse(name, shops).ok_or_else(wrong)
    }

    /// Parses a key: a shop and the number of a product there, as in `shop-01:7`.
    pub(super) fn place(&self, key: &str) -> Result<Place, Problem> {
        let (shop, id) = key.split_once(':').ok_or_else(|| Problem::invalid("the key must be like shop-01:7"))?;
        Ok(Place { shop: self.shop(shop)?, id: product(id)? })
    }
}

/// Parses the product of a path.
pub(super) fn product(id: &str) -> Result<u32, Problem> {
    let wrong = || Problem::invalid(format!("the product must be a number from 1 to {}", u32::MAX));
    parse_id(id).ok_or_else(wrong)
}

/// Parses the category of a path.
pub(super) fn category(name: &str) -> Result<Category, Problem> {
    let wrong = || Problem::invalid(format!("the category must be one of {}", Category::names().join(", ")));
    Category::parse(name).ok_or_else(wrong)
}
