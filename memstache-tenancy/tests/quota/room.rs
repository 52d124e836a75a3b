//! The arithmetic of what is held, against plain maps.

use std::collections::BTreeMap;

use memstache_core::{Accountant, Charge, ErrorKind};
use memstache_tenancy::{OverQuota, Plan, Plans, Tenants};
use proptest::prelude::*;

use crate::kit::{Kit, for_all, plan, secs, tenant};

#[derive(Clone, Debug)]
enum Step {
    Set(u8, usize),
    Remove(u8),
    Clear,
    /// Past the end of everything that is held.
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u8..12, 0_usize..600).prop_map(|(key, len)| Step::Set(key, len)),
        3 => (0_u8..12).prop_map(Step::Remove),
        1 => Just(Step::Clear),
        1 => Just(Step::Expire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn entries_are_those_of_a_map_and_bytes_stay_within_the_plan(
        most in 1_u64..8,
        over in prop::sample::select(vec![OverQuota::Refuse, OverQuota::EvictOwn]),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let kit = Kit::new(for_all(plan().entries(most).bytes(64 << 10).over_entries(over)));
        let acme = kit.cache().for_tenant(&tenant("acme"));
        let mut held = BTreeMap::new();
        for step in steps {
            match step {
                Step::Set(key, len) => {
                    let stored = runtime.block_on(acme.set([key], &"x".repeat(len)).into_future());
                    let fits = held.contains_key(&key) || (held.len() as u64) < most || over == OverQuota::EvictOwn;
                    prop_assert_eq!(stored.is_ok(), fits);
                    prop_assert!(stored.err().is_none_or(|error| error.kind() == ErrorKind::Overloaded));
                    if fits {
                        held.insert(key, len);
                    }
                }
                Step::Remove(key) => {
                    let removed = runtime.block_on(acme.remove([key])).unwrap();
                    // What made room is the store's choice.
                    prop_assert!(over == OverQuota::EvictOwn || removed == held.contains_key(&key));
                    held.remove(&key);
                }
                Step::Clear => {
                    runtime.block_on(acme.clear_tenant()).unwrap();
                    held.clear();
                }
                Step::Expire => {
                    kit.clock.advance(secs(120));
                    held.clear();
                }
            }
            // What has ended is freed when it is looked for.
            for key in 0..12 {
                let there = runtime.block_on(acme.get::<String>([key])).unwrap();
                match (there, over) {
                    (Some(value), _) => prop_assert_eq!(Some(&value.len()), held.get(&key)),
                    (None, OverQuota::EvictOwn) => drop(held.remove(&key)),
                    (None, _) => prop_assert!(!held.contains_key(&key)),
                }
            }
            let usage = kit.tenants.usage(&tenant("acme"));
            prop_assert_eq!(usage.entries, held.len() as u64);
            prop_assert!(usage.entries <= most && usage.bytes <= 64 << 10);
            prop_assert_eq!(usage.bytes == 0, held.is_empty());
        }
    }

    /// A share of one is what a tenant has in a store that all use by their weights.
    #[test]
    fn loads_weigh_what_is_held_by_the_plans(
        weights in [1_u32..10, 1_u32..10, 1_u32..10],
        steps in prop::collection::vec((0_usize..3, 0_usize..5000, any::<bool>()), 1..60),
    ) {
        let names = ["a", "b", "c"];
        let mut plans = Plans::builder();
        for (name, weight) in names.iter().zip(weights) {
            plans = plans.plan(Plan::builder(*name).weight(weight).build().unwrap()).assign(&tenant(name), *name);
        }
        let tenants = Tenants::new(plans.build().unwrap());
        let mut held: [Vec<usize>; 3] = Default::default();
        for (who, bytes, gives) in steps {
            match (gives, held[who].pop()) {
                (true, Some(bytes)) => tenants.release(Some(names[who]), Charge::entry(bytes)),
                (_, before) => {
                    held[who].extend(before);
                    tenants.charge(Some(names[who]), Charge::entry(bytes)).unwrap();
                    held[who].push(bytes);
                }
            }
            let all: usize = held.iter().flatten().sum();
            let standing: u32 = (0..3).filter(|at| !held[*at].is_empty()).map(|at| weights[at]).sum();
            for at in 0..3 {
                let own: usize = held[at].iter().sum();
                let share = f64::from(weights[at]) * all as f64 / f64::from(standing.max(1));
                let wanted = if all == 0 { 0.0 } else { own as f64 / share };
                let load = Accountant::load(&tenants, Some(names[at])).unwrap();
                prop_assert!((load - wanted).abs() < 1e-9 * wanted.max(1.0), "{load} is not {wanted}");
            }
        }
    }
}
