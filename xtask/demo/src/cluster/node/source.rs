//! Where a node loads products from.

use std::sync::Arc;

use memstache_cluster::{DataSource, Key, Sourced};
use memstache_core::BoxError;

use crate::{
    database::{Database, Route},
    place::{Place, Shop, parse_id},
};

/// The products of the database, as JSON; each shop is a tenant.
pub(super) struct Products {
    database: Arc<Database>,
    shops: u16,
}

impl Products {
    pub(super) fn new(database: Arc<Database>, shops: u16) -> Self {
        Self { database, shops }
    }

    fn place(&self, key: &Key) -> Option<Place> {
        Some(Place { shop: Shop::parse(key.tenant()?, self.shops)?, id: parse_id(key.text()?)? })
    }
}

impl DataSource for Products {
    async fn fetch(&self, key: Key) -> Result<Option<Sourced>, BoxError> {
        let Some(place) = self.place(&key) else { return Ok(None) };
        let product = self.database.product(place, Route::Cached).await?;
        Ok(product.map(|product| serde_json::to_vec(&product)).transpose()?.map(Sourced::new))
    }
}
