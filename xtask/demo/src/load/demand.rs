//! Which product is asked for next.

use crate::{
    database::Size,
    place::{Place, Shop},
    zipf::Zipf,
};

/// Products that the load never asks for: the checks need some that nothing has touched.
const RESERVED: usize = 2;

/// Uneven demand for the products of all shops.
#[derive(Debug)]
pub(crate) struct Demand {
    zipf: Zipf,
    /// By rank: shuffled, so that each shop has its share of the products in demand.
    places: Vec<Place>,
    seed: u64,
}

/// One client's draws.
#[derive(Debug)]
pub(crate) struct Ranks<'a> {
    zipf: &'a Zipf,
    rng: fastrand::Rng,
}

impl Demand {
    pub(crate) fn new(size: Size, exponent: f64) -> Self {
        let of_shop = |shop| (1..=size.products).map(move |id| Place { shop: Shop(shop), id });
        let mut places: Vec<Place> = (1..=size.shops).flat_map(of_shop).collect();
        fastrand::Rng::with_seed(size.seed).shuffle(&mut places);
        Self { zipf: Zipf::new(places.len() - RESERVED, exponent), places, seed: size.seed }
    }

    /// Returns a product that the load never asks for.
    pub(crate) fn reserved(&self, number: usize) -> Place {
        self.places[self.places.len() - 1 - number % RESERVED]
    }

    /// Returns how many products the load may ask for.
    pub(crate) fn ranks_in_all(&self) -> usize {
        self.places.len() - RESERVED
    }

    pub(crate) fn place(&self, rank: usize) -> Place {
        self.places[rank]
    }

    /// Returns the draws of a client: always the same ones.
    pub(crate) fn ranks(&self, client: u64) -> Ranks<'_> {
        // An odd factor, so that no two clients share a seed.
        let seed = self.seed ^ client.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Ranks { zipf: &self.zipf, rng: fastrand::Rng::with_seed(seed) }
    }
}

impl Ranks<'_> {
    pub(crate) fn draw(&mut self) -> usize {
        self.zipf.rank(self.rng.f64())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn clients_differ_and_repeat_themselves_and_leave_the_reserved_alone() {
        let demand = Demand::new(Size { shops: 2, products: 20, seed: 1 }, 0.5);
        let draws = |client| {
            let mut ranks = demand.ranks(client);
            (0..1000).map(|_| ranks.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draws(0), draws(0));
        assert_ne!(draws(0), draws(1));
        let asked: HashSet<Place> = draws(0).into_iter().map(|rank| demand.place(rank)).collect();
        assert_eq!(asked.len(), 38);
        assert!((0..RESERVED).all(|number| !asked.contains(&demand.reserved(number))));
        assert_ne!(demand.reserved(0), demand.reserved(1));
    }
}
