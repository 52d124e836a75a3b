use memstache_core::{Cache, Json, Tenanted};

async fn load(cache: Cache<Json, Tenanted>) {
    let _: Result<String, _> = cache.get_or_load("key", |_| async { Ok::<_, std::io::Error>(String::new()) }).await;
}

fn main() {}
