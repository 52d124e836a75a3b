use memstache_core::{Cache, Json, Tenanted};

async fn write(cache: Cache<Json, Tenanted>) {
    let _ = cache.set("key", "value").await;
}

fn main() {}
