//! The switches of the program `keyvault-emulator`: each does what `--help` says.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
    sync::Arc,
    time::UNIX_EPOCH,
};

use memstache_core::{Clock as _, SystemClock};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde_json::{Value, json};

use crate::program::{Running, command};

/// A folder that is gone when the test is.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("memstache-emulator-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn over(mut stream: impl Read + Write, method: &str, path: &str, token: &str, body: &Value) -> (String, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = format!(
        "{method} {path}?api-version=7.5 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), serde_json::from_str(body).unwrap())
}

fn tcp(url: &str) -> TcpStream {
    TcpStream::connect(url.split_once("://").unwrap().1).unwrap()
}

fn get(url: &str, path: &str, token: &str) -> (String, Value) {
    over(tcp(url), "GET", path, token, &Value::Null)
}

fn set(url: &str, name: &str, value: &str) -> (String, Value) {
    over(tcp(url), "PUT", &format!("/secrets/{name}"), "any", &json!({ "value": value }))
}

#[track_caller]
fn assert_status(head: &str, status: u16) {
    assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
}

#[test]
fn state_is_kept_over_a_restart_in_a_file_of_ones_own() {
    let folder = Folder::new("state");
    let file = folder.0.join("vault.json");
    let begin = || Running::start(command().arg("--state").arg(&file));
    let (running, url) = begin();
    let (head, first) = set(&url, "kept", "a value");
    assert_status(&head, 200);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    running.end();
    let (running, url) = begin();
    let (head, again) = get(&url, "/secrets/kept", "any");
    assert_status(&head, 200);
    assert_eq!(again["value"], "a value");
    let version = |secret: &Value| secret["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(version(&again), version(&first));
    running.end();
    // Without the switch, nothing is kept.
    let (_running, url) = Running::start(&mut command());
    assert_status(&get(&url, "/secrets/kept", "any").0, 404);
}

#[test]
fn tls_is_spoken_with_the_certificate_that_it_writes() {
    let folder = Folder::new("tls");
    let pem = folder.0.join("certificate.pem");
    let (_running, url) = Running::start(command().arg("--tls").arg(&pem));
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    let text = fs::read_to_string(&pem).unwrap();
    assert!(text.starts_with("-----BEGIN CERTIFICATE-----") && !text.contains("PRIVATE"), "{text}");

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(text.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let config = Arc::new(config.with_no_client_auth());
    for name in ["localhost", "127.0.0.1", "dev.vault.localhost"] {
        let client = ClientConnection::new(Arc::clone(&config), name.try_into().unwrap()).unwrap();
        let (head, body) = over(StreamOwned::new(client, tcp(&url)), "GET", "/secrets", "any", &Value::Null);
        assert_status(&head, 200);
        assert_eq!(body["value"], json!([]));
    }
    let client = ClientConnection::new(config, "example.org".try_into().unwrap()).unwrap();
    let refused = StreamOwned::new(client, tcp(&url)).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
}

#[test]
fn calls_are_throttled() {
    let (_running, url) = Running::start(command().args(["--throttle", "0"]));
    let (head, body) = get(&url, "/secrets", "any");
    assert_status(&head, 429);
    assert!(head.contains("\r\nretry-after: 1"), "{head}");
    assert_eq!(body["error"]["code"], "Throttled");
    let (_running, url) = Running::start(command().args(["--throttle", "1000"]));
    assert_status(&get(&url, "/secrets", "any").0, 200);
}

#[test]
fn calls_fail_and_the_vault_is_full_when_it_is_told_so() {
    let (_running, url) = Running::start(command().args(["--fail-rate", "1"]));
    assert_status(&get(&url, "/secrets", "any").0, 500);
    let (_running, url) = Running::start(command().args(["--max-versions", "1"]));
    assert_status(&set(&url, "one", "v").0, 200);
    let (head, body) = set(&url, "two", "v");
    assert_status(&head, 403);
    assert_eq!(body["error"]["innererror"]["code"], "VaultFull");
}

#[test]
fn the_clock_is_ahead_or_behind() {
    let clock = SystemClock::new();
    let now = || i64::try_from(clock.wall().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    for skew in [86_400, -86_400] {
        let (_running, url) = Running::start(command().args(["--clock-skew", &skew.to_string()]));
        let before = now();
        let created = set(&url, "n", "v").1["attributes"]["created"].as_i64().unwrap();
        assert!((before + skew..=now() + skew).contains(&created), "{skew}: {created}, and it is {before}");
    }
}

#[test]
fn only_the_token_of_the_environment_is_let_in() {
    const VARIABLE: &str = "MEMSTACHE_EMULATOR_TEST_TOKEN";
    let (_running, url) = Running::start(command().env(VARIABLE, "right").args(["--token-env", VARIABLE]));
    assert_status(&get(&url, "/secrets", "right").0, 200);
    for wrong in ["wrong", "rig", "right2", ""] {
        let (head, body) = get(&url, "/secrets", wrong);
        assert_status(&head, 401);
        assert!(head.contains("\r\nwww-authenticate: bearer authorization="), "{head}");
        assert!(!body.to_string().contains("right"), "{body}");
    }
    // An empty one would let nobody in.
    let empty =
        command().env(VARIABLE, "").args(["--address", "127.0.0.1:0", "--token-env", VARIABLE]).output().unwrap();
    assert!(!empty.status.success());
    assert!(String::from_utf8(empty.stderr).unwrap().contains("emulator token must be at least one character"));
}
