//! The service `shops.Products`, as a generator would write it.

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tonic::{
    Request, Response, Status,
    body::Body,
    server::{Grpc, NamedService, UnaryService},
};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::{
    Products,
    messages::{FindRequest, Product},
};

pub(crate) const FIND: &str = "/shops.Products/Find";

type BoxFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

#[derive(Clone)]
pub(crate) struct ProductsServer {
    products: Products,
}

impl ProductsServer {
    pub(crate) fn new(products: Products) -> Self {
        Self { products }
    }
}

impl NamedService for ProductsServer {
    const NAME: &'static str = "shops.Products";
}

/// One method.
struct Find(Products);

impl UnaryService<FindRequest> for Find {
    type Response = Product;
    type Future = BoxFuture<Response<Product>, Status>;

    fn call(&mut self, request: Request<FindRequest>) -> Self::Future {
        let products = self.0.clone();
        Box::pin(async move { products.find(request).await })
    }
}

impl<B> Service<http::Request<B>> for ProductsServer
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>> + Send> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let find = Find(self.products.clone());
        Box::pin(async move {
            if request.uri().path() != FIND {
                return Ok(Status::unimplemented("there is no such method").into_http());
            }
            Ok(Grpc::new(ProstCodec::default()).unary(find, request).await)
        })
    }
}
