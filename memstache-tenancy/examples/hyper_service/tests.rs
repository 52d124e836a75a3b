//! Two shops, over a socket.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use http::Request;
use tokio::{sync::oneshot, task::JoinHandle};

use super::*;
use crate::client::send;

struct Running {
    address: SocketAddr,
    drawn: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn started() -> Running {
    let drawn = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&drawn);
    let draw = move |shop: &str, name: &str| match name {
        "none" => Ok(None),
        "broken" => Err(io::Error::other("no ink")),
        _ => Ok(Some(format!("{name} of {shop}, no. {}", count.fetch_add(1, Relaxed)))),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let service = service(Arc::new(draw)).unwrap();
    let server = tokio::spawn(serve(listener, service, async { stopped.await.unwrap_or(()) }));
    Running { address, drawn, stop, server }
}

impl Running {
    async fn ask(&self, method: Method, path: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).header("host", "shops").body("").unwrap();
        let response = send(self.address, request).await;
        (response.status().as_u16(), response.into_body())
    }
}

#[tokio::test]
async fn shops_have_pages_of_their_own() {
    let shops = started().await;
    for _ in 0..2 {
        assert_eq!(shops.ask(Method::GET, "/acme/welcome").await, (200, "welcome of acme, no. 0".to_owned()));
        assert_eq!(shops.ask(Method::GET, "/umbrella/welcome").await, (200, "welcome of umbrella, no. 1".to_owned()));
    }
    assert_eq!(shops.ask(Method::DELETE, "/acme/welcome").await.0, 204);
    assert_eq!(shops.ask(Method::GET, "/umbrella/welcome").await.1, "welcome of umbrella, no. 1");
    assert_eq!(shops.ask(Method::GET, "/acme/welcome").await.1, "welcome of acme, no. 2");
    assert_eq!(shops.drawn.load(Relaxed), 3);
}

#[tokio::test]
async fn who_is_no_shop_is_refused() {
    let shops = started().await;
    let problem = r#"{"type":"about:blank","title":"Bad Request","status":400}"#;
    for path in ["/", "//welcome", "/%61cme/welcome", "/../welcome"] {
        assert_eq!(shops.ask(Method::GET, path).await, (400, problem.to_owned()), "{path}");
    }
    assert_eq!(shops.ask(Method::HEAD, "/").await, (400, String::new()), "a HEAD has no body");
    assert_eq!(shops.drawn.load(Relaxed), 0);
}

#[tokio::test]
async fn what_is_not_there_and_what_fails() {
    let shops = started().await;
    for (method, path, status) in [
        (Method::GET, "/acme", 404),
        (Method::GET, "/acme/none", 404),
        (Method::GET, "/acme/broken", 503),
        (Method::PATCH, "/acme/welcome", 501),
    ] {
        assert_eq!(shops.ask(method, path).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn it_stops_when_it_is_told_to() {
    let shops = started().await;
    assert_eq!(shops.ask(Method::GET, "/acme/welcome").await.0, 200);
    shops.stop.send(()).unwrap();
    shops.server.await.unwrap();
    assert!(tokio::net::TcpStream::connect(shops.address).await.is_err());
}
