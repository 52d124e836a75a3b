use http::Request;
use memstache_core::{Cache, Json, Tenanted};
use memstache_tenancy::TenantRequest;

fn handle(request: Request<()>) {
    let _: &Cache<Json, Tenanted> = request.tenant_cache().unwrap();
}

fn main() {}
