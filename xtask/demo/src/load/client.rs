//! A small HTTP/1.1 client: one kept-alive connection, one answer after the other.
//!
//! Small, because it shares the processors with the service that it measures.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    place::{Place, Shop},
    service::X_CACHE,
};

const MOST_HEADERS: usize = 32;

/// Longest answer: what a node of a cluster has loaded for a shop of a million products is under 14 MiB.
const MOST_BYTES: usize = 16 << 20;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to the service; opened again by itself after a failure.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    /// What has come and was not taken yet.
    buffer: Vec<u8>,
}

/// What the service answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The `x-cache` header, empty if there is none.
    pub(crate) cache: String,
    /// The `retry-after` header, in seconds.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let mut connection = Self { address, stream: None, buffer: Vec::new() };
        connection.stream().await?;
        Ok(connection)
    }

    pub(crate) async fn get(&mut self, shop: Shop, path: &str) -> Result<Answer> {
        self.ask(&get(shop, path)).await
    }

    /// Asks for a product through the cache; whatever else is answered is an error.
    pub(crate) async fn product(&mut self, place: Place) -> Result<Answer> {
        self.get(place.shop, &place.path()).await?.of(place)
    }

    pub(crate) async fn send(&mut self, method: &str, shop: Shop, path: &str, body: &str) -> Result<Answer> {
        let (length, host) = (body.len(), shop.host());
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n");
        self.ask(&format!("{head}content-length: {length}\r\n\r\n{body}")).await
    }

    /// Asks for the same many times at once: all questions are sent before the first answer is read.
    pub(crate) async fn get_times(&mut self, shop: Shop, path: &str, times: usize) -> Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(times);
        self.stream().await?.write_all(get(shop, path).repeat(times).as_bytes()).await?;
        while answers.len() < times {
            answers.push(timeout(PATIENCE, self.answer()).await.context("no answer came in time")??);
        }
        Ok(answers)
    }

    async fn ask(&mut self, request: &str) -> Result<Answer> {
        let asked = async {
            self.stream().await?.write_all(request.as_bytes()).await?;
            self.answer().await
        };
        let answer = timeout(PATIENCE, asked).await.context("no answer came in time").flatten();
        if answer.is_err() {
            // What else comes on it would be taken for the answer to the next question.
            self.stream = None;
        }
        answer
    }

    async fn stream(&mut self) -> Result<&mut TcpStream> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            self.buffer.clear();
            self.stream = Some(stream);
        }
        self.stream.as_mut().context("the connection is closed")
    }

    async fn answer(&mut self) -> Result<Answer> {
        loop {
            if let Some((answer, length)) = parse(&self.buffer)? {
                self.buffer.drain(..length);
                return Ok(answer);
            }
            if self.buffer.len() > MOST_BYTES {
                bail!("an answer is longer than {MOST_BYTES} bytes");
            }
            let stream = self.stream.as_mut().context("the connection is closed")?;
            if stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the service closed the connection");
            }
        }
    }
}

impl Answer {
    /// Makes sure that it is a product, and the right one.
    pub(crate) fn of(self, place: Place) -> Result<Self> {
        let start = format!("{{\"id\":{},", place.id);
        match self.status {
            200 if self.body.starts_with(start.as_bytes()) => Ok(self),
            200 => bail!("{place} was asked for and another product answered"),
            status => bail!("{place} was asked for and status {status} answered"),
        }
    }

    /// Reads the body of a successful answer.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        if self.status != 200 {
            bail!("a request was answered with status {}", self.status);
        }
        serde_json::from_slice(&self.body).context("an answer is not what it should be")
    }
}

fn get(shop: Shop, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", shop.host())
}

/// Parses the answer at the start of `bytes`, if all of it is there, and returns its length too.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = head.parse(bytes).context("an answer is not HTTP")? else {
        return Ok(None);
    };
    let header = |name: &str| head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    let text = |name| header(name).map(|header| std::str::from_utf8(header.value)).transpose();
    let length: usize = text("content-length")?.context("an answer has no length")?.parse()?;
    if length > MOST_BYTES {
        bail!("an answer is longer than {MOST_BYTES} bytes");
    }
    let Some(body) = bytes.get(start..start + length) else { return Ok(None) };
    let x_cache = X_CACHE;
    let cache = text(x_cache.as_str())?.unwrap_or_default().to_owned();
    let retry_after = text("retry-after")?.map(str::parse).transpose()?;
    let status = head.code.unwrap_or_default();
    Ok(Some((Answer { status, cache, retry_after, body: body.to_vec() }, start + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] = b"HTTP/1.1 200 OK\r\nX-Cache: hit\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 404 Not Found\r\n";

    #[test]
    fn an_answer_is_taken_once_it_is_whole() {
        let (answer, length) = parse(TWO).unwrap().unwrap();
        let cache = "hit".to_owned();
        assert_eq!(answer, Answer { status: 200, cache, retry_after: None, body: b"abc".to_vec() });
        assert!(TWO[length..].starts_with(b"HTTP/1.1 404"));
        for cut in 0..length {
            assert_eq!(parse(&TWO[..cut]).unwrap(), None, "{cut} bytes");
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(parse(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "without a length");
        assert!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 429 x\r\nretry-after: soon\r\ncontent-length: 0\r\n\r\n").is_err());
    }

    #[test]
    fn when_to_come_back_is_read() {
        let (answer, _) = parse(b"HTTP/1.1 429 x\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n").unwrap().unwrap();
        assert_eq!((answer.status, answer.retry_after), (429, Some(3)));
    }
}
