use memstache_core::{Cache, Json};
use memstache_tenancy::{Resolver, TenantLayer};

fn layer(cache: Cache<Json>, resolver: Resolver) {
    let _ = TenantLayer::new(cache, resolver);
}

fn main() {}
