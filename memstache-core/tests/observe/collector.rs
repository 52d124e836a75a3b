//! A collector that keeps what it is sent, or misbehaves; and a reader of protobuf that knows no message.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use memstache_core::testing::Gate;
use tokio::sync::mpsc;

/// How a collector answers.
#[derive(Clone)]
pub(crate) enum Answer {
    Accept,
    Status(u16),
    /// Accepts all but so many.
    Refuse(u8),
    /// Answers once the gate lets it.
    Gated(Gate),
}

/// A post that was received.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) path: String,
    pub(crate) body: Bytes,
}

pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    posts: mpsc::UnboundedReceiver<Post>,
}

impl Collector {
    pub(crate) async fn start(answer: Answer) -> Self {
        let (sender, posts) = mpsc::unbounded_channel();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(receive).with_state((sender, Arc::new(answer)));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { address, posts }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the next post; the caller's clock, not this one, ends a wait in vain.
    pub(crate) async fn next(&mut self) -> Post {
        self.posts.recv().await.expect("the collector runs as long as the test")
    }

    /// Returns what has come so far.
    pub(crate) fn posts(&mut self) -> Vec<Post> {
        std::iter::from_fn(|| self.posts.try_recv().ok()).collect()
    }
}

type Shared = (mpsc::UnboundedSender<Post>, Arc<Answer>);

async fn receive(State((posts, answer)): State<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers[header::CONTENT_TYPE], "application/x-protobuf");
    posts.send(Post { path: uri.path().to_owned(), body }).unwrap();
    match &*answer {
        Answer::Accept => StatusCode::OK.into_response(),
        Answer::Status(status) => StatusCode::from_u16(*status).unwrap().into_response(),
        Answer::Refuse(count) => vec![0x0a, 0x02, 0x08, *count].into_response(),
        Answer::Gated(gate) => {
            gate.pass().await;
            StatusCode::OK.into_response()
        }
    }
}

/// A message of protobuf: the numbers of its fields, and what they hold.
/// <https://protobuf.dev/programming-guides/encoding/>
#[derive(Clone, Debug)]
pub(crate) struct Message(Vec<(u64, Value)>);

#[derive(Clone, Debug)]
enum Value {
    Number(u64),
    Bytes(Bytes),
}

impl Message {
    pub(crate) fn parse(bytes: &Bytes) -> Self {
        let (mut rest, mut fields) = (bytes.clone(), Vec::new());
        while !rest.is_empty() {
            let key = varint(&mut rest);
            let value = match key & 7 {
                0 => Value::Number(varint(&mut rest)),
                1 => Value::Number(u64::from_le_bytes(rest.split_to(8)[..].try_into().unwrap())),
                2 => {
                    let length = varint(&mut rest);
                    Value::Bytes(rest.split_to(usize::try_from(length).unwrap()))
                }
                wire => panic!("an unused wire type: {wire}"),
            };
            fields.push((key >> 3, value));
        }
        Self(fields)
    }

    fn values(&self, field: u64) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |(number, _)| *number == field).map(|(_, value)| value)
    }

    /// The messages of a repeated field.
    pub(crate) fn all(&self, field: u64) -> Vec<Self> {
        self.bytes(field).iter().map(Self::parse).collect()
    }

    pub(crate) fn one(&self, field: u64) -> Self {
        let all = self.all(field);
        assert_eq!(all.len(), 1, "field {field} of {self:?}");
        all[0].clone()
    }

    pub(crate) fn bytes(&self, field: u64) -> Vec<Bytes> {
        let bytes = |value: &Value| if let Value::Bytes(bytes) = value { bytes.clone() } else { panic!("a number") };
        self.values(field).map(bytes).collect()
    }

    pub(crate) fn text(&self, field: u64) -> String {
        self.bytes(field).first().map(|text| String::from_utf8(text.to_vec()).unwrap()).unwrap_or_default()
    }

    pub(crate) fn number(&self, field: u64) -> u64 {
        self.values(field).map(|value| if let Value::Number(number) = value { *number } else { panic!() }).sum()
    }

    pub(crate) fn has(&self, field: u64) -> bool {
        self.values(field).next().is_some()
    }

    /// The attributes in a field: names, and values that are texts or whole numbers.
    pub(crate) fn attributes(&self, field: u64) -> Vec<(String, String)> {
        let pair = |pair: Self| {
            let value = pair.one(2);
            (pair.text(1), if value.has(3) { value.number(3).to_string() } else { value.text(1) })
        };
        self.all(field).into_iter().map(pair).collect()
    }
}

fn varint(bytes: &mut Bytes) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes.split_to(1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
        shift += 7;
    }
}
