//! What each shop may use.

use memstache_core::Result;
use memstache_tenancy::{Plan, PlanBuilder, Plans};

use crate::{
    database::Size,
    place::Shop,
    store::{BYTES_PER_PRODUCT, LEAST_BYTES},
};

/// Requests a second of a shop that asks as it is expected to.
pub(crate) const SHARE: u32 = 20;

/// Operations a second of its plan. Hits of the near cache are none.
const OPERATIONS: u32 = 2 * SHARE;

/// Operations at once: as many as come together when customers were held up for a second.
const BURST: u32 = SHARE;

/// While it is measured how fast the cache is: as many operations as come.
pub(crate) fn unmetered(size: Size) -> Result<Plans> {
    for_all(Plan::builder("unmetered"), size)
}

/// For shops that share the service.
pub(crate) fn standard(size: Size) -> Result<Plans> {
    for_all(Plan::builder("standard").operations_per_second(OPERATIONS).burst(BURST), size)
}

/// Every shop has room for all its products and some records of what is not there; who fills it up loses its own.
fn for_all(plan: PlanBuilder, size: Size) -> Result<Plans> {
    let plan = plan.bytes((LEAST_BYTES + size.products as usize * BYTES_PER_PRODUCT) as u64).build()?;
    let name = plan.name().to_owned();
    let plans = Plans::builder().plan(plan).default_plan(name).allow_unknown(false);
    (1..=size.shops).fold(plans, |plans, number| plans.known(&Shop(number).tenant())).build()
}

#[cfg(test)]
mod tests {
    use memstache_core::TenantId;

    use super::*;

    #[test]
    fn shops_have_a_plan_and_nobody_else() {
        let size = Size { shops: 2, products: 60, seed: 1 };
        let (free, metered) = (unmetered(size).unwrap(), standard(size).unwrap());
        let shop = Shop(2).tenant();
        assert_eq!(free.of(&shop).unwrap().operations_per_second(), None);
        let plan = metered.of(&shop).unwrap();
        assert_eq!((plan.name(), plan.operations_per_second(), plan.burst()), ("standard", Some(40), Some(20)));
        assert_eq!(plan.bytes(), free.of(&shop).unwrap().bytes());
        assert!(metered.of(&TenantId::new("shop-03").unwrap()).is_none());
    }
}
