//! A plain HTTP client over one connection per request.

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use memstache_crypto::emulator::{Emulator, EmulatorBuilder};
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The body of an answer that must have been a success.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// Status, code and inner code of an error in Azure's shape.
    pub(crate) fn error(&self) -> (u16, &str, Option<&str>) {
        let error = &self.body["error"];
        assert!(error["message"].is_string(), "{}", self.body);
        (self.status, error["code"].as_str().unwrap(), error["innererror"]["code"].as_str())
    }
}

pub(crate) fn builder() -> EmulatorBuilder {
    Emulator::builder().address(([127, 0, 0, 1], 0).into())
}

pub(crate) async fn start() -> Client {
    Client(builder().start().await.unwrap())
}

/// Calls one emulator.
#[derive(Debug)]
pub(crate) struct Client(pub(crate) Emulator);

impl Client {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, Some(body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None).await
    }

    pub(crate) async fn set(&self, name: &str, value: &str) -> Value {
        self.put(&format!("/secrets/{name}"), json!({ "value": value })).await.ok()
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let body = body.map(|json| json.to_string()).unwrap_or_default();
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{mark}api-version=7.5");
        self.send(self.request(method, &path).header("authorization", "Bearer any"), body).await
    }

    /// A request as it is, without a token and a version of the interface.
    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(path).header("host", self.0.address().to_string())
    }

    pub(crate) async fn send(&self, request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
        let stream = TcpStream::connect(self.0.address()).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(connection);
        let answer = sender.send_request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        drop(sender);
        driver.await.unwrap().unwrap();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }
}
