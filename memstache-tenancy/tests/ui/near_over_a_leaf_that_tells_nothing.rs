use memstache_core::{NearConfig, Stack, Store, StoreService};

fn near(store: impl Store) {
    let _ = Stack::over(StoreService::new(store)).near(NearConfig::new(1 << 20).unwrap());
}

fn main() {}
