//! Bodies, paths and heads that nobody well-meaning would send.

use memstache_crypto::emulator::Emulator;
use proptest::{prelude::*, strategy::ValueTree as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::client::{Client, builder, start};

/// Every route that takes a body.
const ROUTES: [(&str, &str); 14] = [
    ("PUT", "/secrets/n"),
    ("PATCH", "/secrets/n/"),
    ("POST", "/secrets/restore"),
    ("POST", "/keys/n/create"),
    ("PUT", "/keys/n"),
    ("PATCH", "/keys/k/"),
    ("POST", "/keys/restore"),
    ("PUT", "/keys/k/rotationpolicy"),
    ("POST", "/keys/k//encrypt"),
    ("POST", "/keys/k//decrypt"),
    ("POST", "/keys/k//wrapkey"),
    ("POST", "/keys/k//unwrapkey"),
    ("POST", "/deletedsecrets/n/recover"),
    ("POST", "/keys/none/backup"),
];

/// JSON whose fields are those that the emulator reads, with values that they should not have.
fn json_of_known_fields() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[A-Za-z0-9_-]{0,40}".prop_map(Value::from),
        Just(json!("RSA-OAEP-256")),
        any::<String>().prop_map(Value::from),
    ];
    let field = prop::sample::select(vec![
        "value",
        "contentType",
        "attributes",
        "tags",
        "enabled",
        "exp",
        "nbf",
        "kty",
        "key",
        "key_ops",
        "alg",
        "n",
        "e",
        "d",
        "p",
        "q",
        "dp",
        "dq",
        "qi",
        "lifetimeActions",
        "trigger",
        "action",
        "type",
        "expiryTime",
        "timeAfterCreate",
        "public_exponent",
    ]);
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(field.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn on_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn with_a_key() -> Client {
    let client = start().await;
    client.post("/keys/k/create", json!({ "kty": "RSA" })).await.ok();
    client
}

/// No answer but success, or an error of the client with a body in Azure's shape.
async fn send_everywhere(client: &Client, body: &[u8]) {
    for (method, path) in ROUTES {
        let path = format!("{path}?api-version=1");
        let request = client.request(method, &path).header("authorization", "Bearer x");
        let answer = client.send(request, body.to_vec()).await;
        assert!(answer.status == 200 || (400..500).contains(&answer.status), "{method} {path} {answer:?}");
        if answer.status != 200 {
            answer.error();
        }
    }
}

#[test]
fn any_json_of_known_fields_is_answered() {
    on_runtime(async {
        let client = with_a_key().await;
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        for _ in 0..40 {
            let body = json_of_known_fields().new_tree(&mut runner).unwrap().current();
            send_everywhere(&client, body.to_string().as_bytes()).await;
        }
        assert_eq!(client.get("/keys/k/versions").await.ok()["value"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn any_bytes_are_answered() {
    on_runtime(async {
        let client = with_a_key().await;
        let deep = "[".repeat(100_000);
        for body in [&b""[..], b"null", b"{", b"\xff\xfe", b"[]", b"\"\"", b"{\"value\":\"\\ud800\"}", deep.as_bytes()]
        {
            send_everywhere(&client, body).await;
        }
        let told = client
            .send(
                client.request("PUT", "/secrets/n?api-version=1").header("authorization", "Bearer x"),
                r#"{"value":"hidden"#,
            )
            .await;
        assert!(!told.body.to_string().contains("hidden"), "{told:?}");
        assert_eq!(told.body["error"]["message"], "The request body is not the expected JSON (line 1, column 16).");
    });
}

#[test]
fn any_path_and_query_is_answered() {
    on_runtime(async {
        let client = start().await;
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let part = "(secrets|keys|deletedkeys|versions|restore|[!-.0-~]{0,8})";
        let path = format!("/({part}/){{0,5}}(\\?(api-version=|maxresults=|\\$skiptoken=|&|[!-~]{{0,6}}){{0,4}})?");
        let paths = proptest::string::string_regex(&path).unwrap();
        for _ in 0..150 {
            let path = paths
                .new_tree(&mut runner)
                .unwrap()
                .current()
                .replace(['#', '"', '<', '>', '`', '{', '}', '\\', '^', '|'], "");
            let Ok(uri) = path.parse::<http::Uri>() else { continue };
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
                let request = client.request(method, &uri.to_string()).header("authorization", "Bearer x");
                let status = client.send(request, "{}").await.status;
                assert!(status == 200 || (400..500).contains(&status), "{method} {uri}: {status}");
            }
        }
        assert_eq!(client.get(&format!("/secrets?x={}", "y".repeat(5000))).await.error().0, 400);
        assert_eq!(client.get("/certificates").await.error(), (404, "NotFound", None));
        let unversioned = client.request("GET", "/secrets").header("authorization", "Bearer x");
        assert_eq!(client.send(unversioned, "").await.error(), (400, "BadParameter", None));
    });
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let client = start().await;
    let request = client.request("PUT", "/secrets/n?api-version=1").header("authorization", "Bearer x");
    let answer = client.send(request, vec![b' '; 1024 * 1024 + 1]).await;
    assert_eq!(answer.error(), (413, "RequestEntityTooLarge", None));
}

#[tokio::test]
async fn what_is_not_http_harms_nobody_else() {
    let emulator: Emulator = builder().start().await.unwrap();
    for noise in [&b"\x16\x03\x01\x02\x00\x01"[..], b"GET\r\n\r\n", &[b'A'; 200_000]] {
        let mut stream = TcpStream::connect(emulator.address()).await.unwrap();
        stream.write_all(noise).await.ok();
        stream.shutdown().await.ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(Client(emulator).get("/secrets").await.status, 200);
}
