//! What a path names, checked.

use super::{App, Problem};
use crate::{
    catalogue::Category,
    place::{Place, Shop, parse_id},
};

impl App {
    /// Parses the shop of a path.
    pub(super) fn shop(&self, name: &str) -> Result<Shop, Problem> {
        let shops = self.database.size().shops;
        let wrong = || Problem::invalid(format!("the shop must be from {} to {}", Shop(1), Shop(shops)));
        Shop::parse(name, shops).ok_or_else(wrong)
    }

    /// Parses the shop and the product of a path.
    pub(super) fn place(&self, shop: &str, id: &str) -> Result<Place, Problem> {
        let wrong = || Problem::invalid(format!("the product must be a number from 1 to {}", u32::MAX));
        Ok(Place { shop: self.shop(shop)?, id: parse_id(id).ok_or_else(wrong)? })
    }
}

/// Parses the category of a path.
pub(super) fn category(name: &str) -> Result<Category, Problem> {
    let wrong = || Problem::invalid(format!("the category must be one of {}", Category::names().join(", ")));
    Category::parse(name).ok_or_else(wrong)
}
