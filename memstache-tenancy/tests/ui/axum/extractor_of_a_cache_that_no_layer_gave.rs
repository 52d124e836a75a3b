use axum::{Router, routing::get};
use memstache_core::{Cache, Json};

async fn price(prices: Cache<Json>) -> String {
    prices.get("tea").await.unwrap().unwrap()
}

fn main() {
    let _: Router = Router::new().route("/", get(price));
}
