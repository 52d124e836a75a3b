//! What the cache is in front of: the products of all shops.

use std::{
    collections::HashMap,
    io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) name: String,
    pub(crate) cents: u32,
}

/// Shops, and their products by id; in a service of yours, a database.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    shops: Mutex<HashMap<String, HashMap<String, Product>>>,
    reads: AtomicUsize,
}

impl Catalogue {
    /// Two shops that sell tea at different prices.
    pub(crate) fn with_examples() -> Self {
        let catalogue = Self::default();
        for (shop, cents) in [("acme", 349), ("umbrella", 499)] {
            catalogue.save(shop, "tea", Product { name: format!("{shop}'s tea"), cents });
        }
        catalogue
    }

    pub(crate) fn has_shop(&self, shop: &str) -> bool {
        self.shops().contains_key(shop)
    }

    /// Reads a product of a shop's.
    pub(crate) fn find(&self, shop: &str, id: &str) -> io::Result<Option<Product>> {
        self.reads.fetch_add(1, Relaxed);
        Ok(self.shops().get(shop).and_then(|products| products.get(id)).cloned())
    }

    pub(crate) fn save(&self, shop: &str, id: &str, product: Product) {
        self.shops().entry(shop.to_owned()).or_default().insert(id.to_owned(), product);
    }

    /// How often it was read.
    #[cfg(test)]
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Relaxed)
    }

    fn shops(&self) -> MutexGuard<'_, HashMap<String, HashMap<String, Product>>> {
        self.shops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
