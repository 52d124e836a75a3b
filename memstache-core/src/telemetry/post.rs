//! One export: a request over HTTP/1.1, and its answer.

use std::{fmt, io, pin::pin};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use tokio::net::TcpStream;

use super::{drops::Signal, endpoint::Endpoint, wire::ExportResponse};

/// Most that is read of an answer.
const MOST_ANSWER: usize = 64 << 10;

/// Why an export was not accepted.
#[derive(Debug)]
pub(super) enum Failed {
    Connect(io::Error),
    Exchange,
    Status(u16),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "no connection: {}", error.kind()),
            Self::Exchange => f.write_str("the connection broke"),
            Self::Status(status) => write!(f, "it answered with status {status}"),
        }
    }
}

/// Posts an export; returns how many of its items were refused.
///
/// # Cancellation
/// Dropping it closes the connection.
pub(super) async fn post(endpoint: &Endpoint, signal: Signal, body: Bytes) -> Result<u64, Failed> {
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.map_err(Failed::Connect)?;
    drop(stream.set_nodelay(true));
    let broken = |_| Failed::Exchange;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = Request::post(endpoint.path(signal))
        .header(header::HOST, endpoint.authority())
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .header(header::CONNECTION, "close")
        .body(Full::new(body))
        .map_err(|_| Failed::Exchange)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST_ANSWER).collect().await;
        if !status.is_success() {
            return Err(Failed::Status(status.as_u16()));
        }
        let body = body.map_err(|_| Failed::Exchange)?.to_bytes();
        Ok(refused(&body))
    };
    match select(pin!(exchange), pin!(connection)).await {
        Either::Left((result, _)) => result,
        Either::Right((_, exchange)) => exchange.await,
    }
}

/// How many items an answer says were refused. One that cannot be read says nothing of the kind.
fn refused(body: &[u8]) -> u64 {
    let partial = ExportResponse::decode(body).ok().and_then(|response| response.partial);
    partial.and_then(|partial| u64::try_from(partial.rejected).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_what_was_refused() {
        // partial_success { rejected_spans: 3, error_message: "x" }
        assert_eq!(refused(&[0x0a, 0x05, 0x08, 0x03, 0x12, 0x01, b'x']), 3);
        assert_eq!(refused(&[]), 0);
        assert_eq!(refused(b"not protobuf"), 0);
    }
}
