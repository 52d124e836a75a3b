use memstache_core::{Cache, Json, Tenanted};

async fn read(cache: Cache<Json, Tenanted>) {
    let _ = cache.get::<String>("key").await;
}

fn main() {}
