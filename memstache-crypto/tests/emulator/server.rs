//! Tokens, addresses, TLS, the state file, and the end.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use memstache_core::{ErrorKind, testing::ManualClock};
use memstache_crypto::emulator::{Emulator, Faults, Operation};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::{Client, builder, start};

/// A file of a test of its own, and what lies beside it; removed at the end.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("memstache-emulator-{name}-{}", std::process::id())))
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        for beside in ["", ".lock", ".new"] {
            let mut name = self.0.clone().into_os_string();
            name.push(beside);
            fs::remove_file(name).ok();
        }
    }
}

#[tokio::test]
async fn a_call_without_a_token_is_challenged() {
    let client = start().await;
    let asked = client.send(client.request("GET", "/secrets?api-version=7.5"), "").await;
    assert_eq!(asked.error(), (401, "Unauthorized", None));
    let challenge = asked.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.starts_with("Bearer authorization=\"https://login.microsoftonline.com/"), "{challenge}");
    assert!(challenge.ends_with(", resource=\"https://vault.azure.net\""), "{challenge}");
    let basic = client.request("GET", "/secrets?api-version=7.5").header("authorization", "Basic x");
    assert_eq!(client.send(basic, "").await.status, 401);
    assert_eq!((client.0.calls().challenged(), client.0.calls().of(Operation::ListSecrets)), (2, 0));
}

#[tokio::test]
async fn the_challenge_names_a_resource_above_the_host() {
    let client = start().await;
    let request = http::Request::builder().uri("/secrets").header("host", "dev.vault.localhost:5000");
    let challenge = client.send(request, "").await.headers["www-authenticate"].to_str().unwrap().to_owned();
    assert!(challenge.ends_with(", resource=\"https://vault.localhost\""), "{challenge}");
}

#[tokio::test]
async fn a_fixed_token_lets_nothing_else_in() {
    let client = Client(builder().token("right").start().await.unwrap());
    let with = |token: &str| client.request("GET", "/secrets?api-version=7.5").header("authorization", token);
    assert_eq!(client.send(with("Bearer wrong"), "").await.error(), (401, "Unauthorized", None));
    assert_eq!(client.send(with("Bearer right"), "").await.status, 200);
    assert_eq!(builder().token(" ").start().await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn ids_begin_with_the_host_that_the_client_named() {
    let client = start().await;
    let request = |host: &str| {
        let path = "/secrets/n?api-version=any-1.0";
        http::Request::builder().method("PUT").uri(path).header("host", host).header("authorization", "Bearer x")
    };
    let set = client.send(request("my.host:77"), r#"{"value":"v"}"#).await.ok();
    assert!(set["id"].as_str().unwrap().starts_with("http://my.host:77/secrets/n/"));
    assert_eq!(client.send(request("a/b"), r#"{"value":"v"}"#).await.error().0, 400);
    let nowhere = client
        .send(http::Request::builder().uri("/secrets?api-version=1").header("authorization", "Bearer x"), "")
        .await;
    assert_eq!(nowhere.error().0, 400);
}

#[tokio::test]
async fn a_taken_port_and_a_remote_address_are_refused() {
    let first = builder().start().await.unwrap();
    let error = Emulator::builder().address(first.address()).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("is in use by another program: choose another port"), "{error}");
    let remote = Emulator::builder().address(([0, 0, 0, 0], 0).into());
    let error = remote.clone().start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("emulator address must be a loopback address"), "{error}");
    assert_ne!(remote.allow_remote().start().await.unwrap().address().port(), 0);
}

#[tokio::test]
async fn tls_is_spoken_with_a_certificate_to_trust() {
    let emulator = builder().tls().start().await.unwrap();
    assert!(emulator.base_url().starts_with("https://127.0.0.1:"));
    let certificate = CertificateDer::from_pem_slice(emulator.certificate_pem().unwrap().as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    for name in ["localhost", "127.0.0.1", "dev.vault.localhost"] {
        let stream = TcpStream::connect(emulator.address()).await.unwrap();
        let stream = connector.connect(ServerName::try_from(name).unwrap(), stream).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(connection);
        let request = http::Request::builder().uri("/secrets?api-version=1").header("host", name);
        let request = request.header("authorization", "Bearer x").body(Empty::<bytes::Bytes>::new()).unwrap();
        let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({ "value": [], "nextLink": null }));
        drop(sender);
        driver.await.unwrap().ok();
    }
    let stream = TcpStream::connect(emulator.address()).await.unwrap();
    assert!(connector.connect(ServerName::try_from("example.org").unwrap(), stream).await.is_err());
}

#[tokio::test]
async fn a_vault_in_a_file_outlives_its_emulator() {
    let file = TempFile::new("state");
    let client = Client(builder().state_file(&file.0).start().await.unwrap());
    client.set("kept", "v").await;
    client.set("deleted", "w").await;
    client.delete("/secrets/deleted").await.ok();
    let key = client.post("/keys/k/create", json!({ "kty": "RSA" })).await.ok();
    let wrapped = client.post("/keys/k//wrapkey", json!({ "alg": "RSA-OAEP-256", "value": "AAAA" })).await.ok();
    let backup = client.post("/secrets/kept/backup", Value::Null).await.ok();
    assert_eq!(fs::metadata(&file.0).unwrap().permissions().mode() & 0o777, 0o600);
    let second = builder().state_file(&file.0).start().await.unwrap_err();
    assert!(second.to_string().contains("in use by another emulator"), "{second}");
    client.0.shutdown().await;

    let client = Client(builder().state_file(&file.0).start().await.unwrap());
    assert_eq!(client.get("/secrets/kept").await.ok()["value"], "v");
    assert_eq!(client.get("/deletedsecrets/deleted").await.status, 200);
    assert_eq!(client.get("/keys/k").await.ok()["key"]["n"], key["key"]["n"]);
    let unwrapped =
        client.post("/keys/k//unwrapkey", json!({ "alg": "RSA-OAEP-256", "value": wrapped["value"] })).await.ok();
    assert_eq!(unwrapped["value"], "AAAA");
    client.delete("/secrets/kept").await.ok();
    client.delete("/deletedsecrets/kept").await;
    assert_eq!(client.post("/secrets/restore", backup).await.status, 200);
}

#[tokio::test]
async fn a_file_that_others_may_read_or_that_is_foreign_is_refused() {
    let file = TempFile::new("foreign");
    for (text, mode, told) in [
        ("{}", 0o644, "a regular file of mode 0600, but mode 0644 was given"),
        ("{}", 0o600, "one that the emulator wrote"),
        ("\u{0}", 0o600, "one that the emulator wrote"),
    ] {
        fs::write(&file.0, text).unwrap();
        fs::set_permissions(&file.0, fs::Permissions::from_mode(mode)).unwrap();
        let error = builder().state_file(&file.0).start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(told), "{error}");
    }
    let error = builder().state_file("/no/such/folder/file").start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_change_that_cannot_be_written_does_not_happen() {
    let file = TempFile::new("unwritable");
    let client = Client(builder().state_file(&file.0).start().await.unwrap());
    client.set("n", "one").await;
    // A folder in the place of the file beside it: it cannot be opened for writing.
    let mut beside = file.0.clone().into_os_string();
    beside.push(".new");
    fs::remove_file(&beside).ok();
    fs::create_dir(&beside).unwrap();
    assert_eq!(client.put("/secrets/n", json!({ "value": "two" })).await.error().0, 500);
    assert_eq!(client.get("/secrets/n").await.ok()["value"], "one");
    fs::remove_dir(&beside).unwrap();
    client.set("n", "three").await;
    assert_eq!(client.get("/secrets/n").await.ok()["value"], "three");
}

#[tokio::test]
async fn open_requests_finish_when_it_ends() {
    let clock = Arc::new(ManualClock::new());
    let faults = Faults::default().with_latency(Duration::from_secs(1)).unwrap();
    let emulator = builder().clock(Arc::clone(&clock) as _).faults(faults).start().await.unwrap();
    let address = emulator.address();
    let client = Client(emulator);
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = client.request("GET", "/secrets?api-version=1").header("authorization", "Bearer x");
    let open = tokio::spawn(sender.send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap()));
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    let end = tokio::spawn(client.0.shutdown());
    tokio::task::yield_now().await;
    clock.advance(Duration::from_secs(1));
    assert_eq!(open.await.unwrap().unwrap().status(), 200);
    end.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_dropped_emulator_listens_no_more() {
    let client = start().await;
    let address = client.0.address();
    assert!(!format!("{:?}", client.0).is_empty());
    drop(client);
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
