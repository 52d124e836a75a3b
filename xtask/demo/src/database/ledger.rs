//! How often the database was asked for which product.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::place::{Place, Shop};

/// The queries for single products, by the route that asked.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    cached: Mutex<HashMap<Place, u64>>,
    uncached: Mutex<HashMap<Place, u64>>,
}

/// Which way a product was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Through the cache, which did not have it.
    Cached,
    /// Past the cache.
    Uncached,
}

/// A ledger, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Queries {
    /// Queries of all products.
    pub(crate) total: u64,
    /// Products that were asked for.
    pub(crate) distinct: u64,
    /// Queries of the product that was asked for most.
    pub(crate) most: u64,
}

impl Ledger {
    pub(super) fn note(&self, route: Route, place: Place) {
        *self.counts(route).entry(place).or_default() += 1;
    }

    /// Returns how often one product was asked for.
    pub(crate) fn of(&self, route: Route, place: Place) -> u64 {
        self.counts(route).get(&place).copied().unwrap_or_default()
    }

    /// Returns how often each product of a shop was asked for, by its number.
    pub(crate) fn of_shop(&self, route: Route, shop: Shop) -> Vec<(u32, u64)> {
        let counts = self.counts(route);
        counts.iter().filter(|(place, _)| place.shop == shop).map(|(place, count)| (place.id, *count)).collect()
    }

    /// Sums a route up.
    pub(crate) fn queries(&self, route: Route) -> Queries {
        let counts = self.counts(route);
        Queries {
            total: counts.values().sum(),
            distinct: counts.len() as u64,
            most: counts.values().copied().max().unwrap_or_default(),
        }
    }

    fn counts(&self, route: Route) -> MutexGuard<'_, HashMap<Place, u64>> {
        let counts = match route {
            Route::Cached => &self.cached,
            Route::Uncached => &self.uncached,
        };
        counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_and_products_are_counted_apart() {
        let (ledger, place) = (Ledger::default(), |id| Place { shop: Shop(1), id });
        for id in [1, 2, 2] {
            ledger.note(Route::Cached, place(id));
        }
        assert_eq!(ledger.queries(Route::Cached), Queries { total: 3, distinct: 2, most: 2 });
        assert_eq!(ledger.queries(Route::Uncached), Queries::default());
        let mut of_shop = ledger.of_shop(Route::Cached, Shop(1));
        of_shop.sort_unstable();
        assert_eq!((of_shop, ledger.of_shop(Route::Cached, Shop(2))), (vec![(1, 1), (2, 2)], vec![]));
        assert_eq!((ledger.of(Route::Cached, place(2)), ledger.of(Route::Cached, place(3))), (2, 0));
    }
}
