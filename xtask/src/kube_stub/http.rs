//! As much HTTP/1.1 as clients of an API server speak.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

/// The most bytes of a head, and of a body.
const MAX: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    query: Vec<(String, String)>,
    authorization: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        matches!(self.query(name), Some("1" | "true"))
    }

    /// The bearer token.
    pub(super) fn token(&self) -> Option<&str> {
        self.authorization.as_deref()?.strip_prefix("Bearer ").map(str::trim)
    }
}

/// Reads requests one after the other.
pub(super) struct Reader<'a> {
    stream: &'a TcpStream,
    buffer: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(stream: &'a TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The next one; `None` when the client has none any more.
    pub(super) fn next(&mut self) -> Result<Option<Request>> {
        loop {
            if let Some((mut request, head, body)) = parse(&self.buffer)? {
                while self.buffer.len() < head + body {
                    ensure!(self.fill()?, "the body of a request ended early");
                }
                request.body = self.buffer[head..head + body].to_vec();
                self.buffer.drain(..head + body);
                return Ok(Some(request));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn fill(&mut self) -> Result<bool> {
        ensure!(self.buffer.len() < 2 * MAX, "a request is too long");
        let mut bytes = [0; 4096];
        let len = self.stream.read(&mut bytes)?;
        self.buffer.extend_from_slice(&bytes[..len]);
        Ok(len > 0)
    }
}

/// A request without its body, and how long its head and its body are.
fn parse(bytes: &[u8]) -> Result<Option<(Request, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = parsed.parse(bytes)? else { return Ok(None) };
    let header = |name: &str| {
        let found = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).into_owned())
    };
    let body = header("content-length").map_or(Ok(0), |len| len.parse())?;
    if body > MAX || header("transfer-encoding").is_some() {
        bail!("a body that is too long, or of unknown length");
    }
    let target = parsed.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: pairs.map(|(key, value)| (plain(key), plain(value))).collect(),
        authorization: header("authorization"),
        body: Vec::new(),
    };
    Ok(Some((request, head, body)))
}

/// Undoes percent-encoding.
fn plain(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => (out.push(byte), rest = &after[2..]).1,
            (b'+', _) => (out.push(b' '), rest = after).1,
            _ => (out.push(*first), rest = after).1,
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[derive(Debug)]
pub(super) struct Reply {
    status: u16,
    retry_after: Option<u64>,
    body: Vec<u8>,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self { status, retry_after: None, body: body.to_string().into_bytes() }
    }

    /// A failure as the API server tells it.
    pub(super) fn failure(status: u16, reason: &str, message: &str) -> Self {
        Self::json(status, &failure(status, reason, message))
    }

    pub(super) fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub(super) fn send(&self, mut stream: &TcpStream) -> Result<()> {
        let retry = self.retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
        let head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{retry}\r\n",
            self.status,
            phrase(self.status),
            self.body.len()
        );
        stream.write_all(&[head.as_bytes(), &self.body].concat())?;
        Ok(())
    }
}

/// A `Status` that is no success.
pub(super) fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
        "code": code})
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        410 => "Gone",
        429 => "Too Many Requests",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read() {
        let text = b"GET /a?labelSelector=app%3Dcache%2Ca%3Db&watch=1&x= HTTP/1.1\r\nAuthorization: Bearer abc\r\nContent-Length: 2\r\n\r\nhi";
        let (request, head, body) = parse(text).unwrap().unwrap();
        assert_eq!((head + body, request.path.as_str(), request.token()), (text.len(), "/a", Some("abc")));
        assert_eq!(request.query("labelSelector"), Some("app=cache,a=b"));
        assert!(request.is_set("watch") && !request.is_set("x") && request.query("x").is_none());
        assert!(parse(&text[..20]).unwrap().is_none());
        assert!(parse(b"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n").is_err());
        assert!(parse(b"\0\0").is_err());
    }

    #[test]
    fn percent_encoding_is_undone() {
        assert_eq!(plain("a%3Db+c%"), "a=b c%");
        assert_eq!(plain("%zz%41"), "%zzA");
    }
}
