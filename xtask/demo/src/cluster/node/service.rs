//! What a node answers over HTTP: products, by the cache, and how it is.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
    serve::ListenerExt as _,
};
use memstache_cluster::Engine;
use memstache_core::{Address, KeyspaceName, Space};
use tokio::{net::TcpListener, sync::watch};

use super::{
    super::{setup::Report, tally::Way},
    KEYSPACE, LOOPBACK,
    view::View,
};
use crate::{
    database::{Database, Route},
    place::{DOMAIN, Shop},
    service::X_CACHE,
};

/// What the handlers share.
pub(super) struct App {
    pub(super) name: String,
    pub(super) shops: u16,
    pub(super) engine: Engine,
    pub(super) database: Arc<Database>,
    pub(super) view: watch::Receiver<Arc<View>>,
}

/// Starts to serve on a free port, and returns where.
pub(super) async fn start(app: App) -> Result<SocketAddr> {
    let listener = TcpListener::bind(LOOPBACK).await?;
    let address = listener.local_addr()?;
    // Answers are small and whole: waiting for more to send would only delay them.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let router = Router::new()
        .route("/products/{id}", get(product))
        .route("/loads", get(loads))
        .route("/node", get(node))
        .with_state(Arc::new(app));
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(address)
}

/// `GET /products/{id}` of the shop that is the host: through the cache.
async fn product(State(app): State<Arc<App>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(shop) = shop(&headers, app.shops) else { return StatusCode::BAD_REQUEST.into_response() };
    let way = app.way(shop, &id);
    match app.engine.for_tenant(&shop.tenant()).get(KEYSPACE, id).await {
        Ok(Some(product)) => {
            let headers = [(X_CACHE, way.as_str()), (header::CONTENT_TYPE, "application/json")];
            (headers, product).into_response()
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

/// `GET /loads`: how often this node has asked the database for each product of the shop that is the host.
async fn loads(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    match shop(&headers, app.shops) {
        Some(shop) => Json(app.database.ledger().of_shop(Route::Cached, shop)).into_response(),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// `GET /node`: whom this node sees.
async fn node(State(app): State<Arc<App>>) -> Json<Report> {
    let view = Arc::clone(&app.view.borrow());
    Json(Report {
        name: app.name.clone(),
        members: view.names(),
        epoch: view.table.epoch(),
        changes: view.changes,
        loads: app.database.ledger().queries(Route::Cached).total,
    })
}

impl App {
    /// Returns whether this node or another owns a product.
    fn way(&self, shop: Shop, id: &str) -> Way {
        let keyspace = KeyspaceName::new(KEYSPACE).expect("a good name");
        let view = self.view.borrow();
        let address = Address::plain(&Space::new(Some(&shop.tenant()), &keyspace), id);
        let owner = address.ok().and_then(|address| view.table.owner_of(address.stored()));
        let mine = owner.and_then(|owner| view.name_of(owner)).is_some_and(|name| name == self.name);
        if mine { Way::Local } else { Way::Remote }
    }
}

fn shop(headers: &HeaderMap, shops: u16) -> Option<Shop> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    Shop::parse(host.strip_suffix(DOMAIN)?.strip_suffix('.')?, shops)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_the_shop() {
        let of = |host: &'static str| shop(&[(header::HOST, host.parse().unwrap())].into_iter().collect(), 2);
        assert_eq!((of("shop-02.localhost"), of("shop-01.localhost:80")), (Some(Shop(2)), Some(Shop(1))));
        for wrong in ["shop-03.localhost", "localhost", "shop-01", "shop-01localhost", ""] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert_eq!(shop(&HeaderMap::new(), 2), None);
    }
}
