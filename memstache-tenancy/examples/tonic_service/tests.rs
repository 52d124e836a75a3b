//! Two shops, over a socket.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use http::uri::PathAndQuery;
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::{Code, client::Grpc, transport::Endpoint};
use tonic_prost::ProstCodec;

use super::*;
use crate::grpc::FIND;

struct Running {
    address: SocketAddr,
    reads: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), BoxError>>,
}

async fn started() -> Running {
    let reads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reads);
    let source = move |shop: &str, id: &str| {
        let read = u32::try_from(count.fetch_add(1, Relaxed)).unwrap();
        match id {
            "broken" => Err(io::Error::other("no database")),
            "tea" => Ok(Some(Product { name: format!("{shop}'s tea"), cents: read })),
            _ => Ok(None),
        }
    };
    let tokens = Tokens::new([("a", "acme"), ("u", "umbrella"), ("odd", "no shop")]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(serve(listener, Arc::new(source), tokens, async { stopped.await.unwrap_or(()) }));
    Running { address, reads, stop, server }
}

impl Running {
    async fn call(&self, path: &'static str, token: Option<&str>, id: &str) -> Result<Product, Code> {
        let channel = Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap();
        let mut client = Grpc::new(channel);
        client.ready().await.unwrap();
        let mut request = Request::new(FindRequest { id: id.to_owned() });
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let found = client.unary(request, PathAndQuery::from_static(path), ProstCodec::default()).await;
        found.map(Response::into_inner).map_err(|status| status.code())
    }

    async fn find(&self, token: &str, id: &str) -> Result<Product, Code> {
        self.call(FIND, Some(token), id).await
    }
}

#[tokio::test]
async fn shops_do_not_see_each_others_products() {
    let shops = started().await;
    for _ in 0..3 {
        assert_eq!(shops.find("a", "tea").await.unwrap(), Product { name: "acme's tea".to_owned(), cents: 0 });
        assert_eq!(shops.find("u", "tea").await.unwrap(), Product { name: "umbrella's tea".to_owned(), cents: 1 });
    }
    assert_eq!(shops.reads.load(Relaxed), 2, "one load for each shop");
    assert_eq!(shops.find("a", "coffee").await, Err(Code::NotFound));
    assert_eq!(shops.find("a", "broken").await, Err(Code::Unavailable));
    assert_eq!(shops.find("a", "").await, Err(Code::InvalidArgument));
    assert_eq!(shops.call("/shops.Products/Other", Some("a"), "tea").await, Err(Code::Unimplemented));
}

#[tokio::test]
async fn who_has_no_token_is_unauthenticated() {
    let shops = started().await;
    for token in [None, Some("guessed")] {
        assert_eq!(shops.call(FIND, token, "tea").await, Err(Code::Unauthenticated));
    }
    assert_eq!(shops.find("odd", "tea").await, Err(Code::InvalidArgument), "a claim that is no name");
    assert_eq!(shops.reads.load(Relaxed), 0);
}

#[tokio::test]
async fn it_stops_when_it_is_told_to() {
    let shops = started().await;
    assert!(shops.find("a", "tea").await.is_ok());
    shops.stop.send(()).unwrap();
    shops.server.await.unwrap().unwrap();
}
