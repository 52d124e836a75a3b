//! What is checked before anything is served.

use memstache_cluster::{
    Engine, EngineError,
    admin::Admin,
    net::{Pem, SimNetwork, Tcp, Tls, TlsConfig, Transport as _},
};
use memstache_core::ErrorKind;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::{
    kit::*,
    sources::{millis, secs},
};

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let engine = Engine::builder().build().unwrap();
    let error = Admin::builder(&engine)
        .base_path("/a b")
        .read_token("short")
        .write_token("short")
        .max_event_streams(0)
        .max_connections(1)
        .timeout(secs(0))
        .host("a/b")
        .build()
        .unwrap_err()
        .to_string();
    for part in [
        "base_path must be at most 128 bytes",
        "read_token must be 16 to 512 bytes long, but 5 bytes was given",
        "write_token must be another than the read_token",
        "max_event_streams must be 1 to 1024, but 0 was given",
        "max_connections must be 8 to 65536, but 1 was given",
        "timeout must be above zero",
        "host must be 1 to 255 bytes",
    ] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}

#[tokio::test]
async fn a_public_address_needs_a_token_or_certificates() {
    let engine = Engine::builder().build().unwrap();
    for public in ["0.0.0.0:0", "[::]:0", "10.0.0.7:3321"] {
        let at = |builder: memstache_cluster::admin::AdminBuilder| builder.bind(public.parse().unwrap()).build();
        let error = at(Admin::builder(&engine).write_token(WRITE)).unwrap_err().to_string();
        assert!(error.starts_with("bind must be a loopback address, unless a read_token is set"), "{error}");
        assert!(error.contains(public));
        assert!(at(Admin::builder(&engine).read_token(READ)).is_ok());
    }
    for loopback in ["127.0.0.1:0", "127.9.9.9:1", "[::1]:0"] {
        assert!(Admin::builder(&engine).bind(loopback.parse().unwrap()).build().is_ok(), "{loopback}");
    }
}

/// TLS that trusts one authority, and shows what it signed.
fn tls() -> Tls {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = authority.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::from_params(&authority, ca_key);
    let certificate = CertificateParams::new(["ops.internal".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let [ca, certificate, key] = [ca.pem(), certificate.pem(), key.serialize_pem()].map(Pem::bytes);
    Tls::over(Tcp::new(), TlsConfig::new(ca, certificate, key).with_server_name("ops.internal")).unwrap()
}

#[tokio::test]
async fn who_shows_a_certificate_is_answered_over_tls_at_a_public_address() {
    let engine = alone([users()]).await;
    let tls = tls();
    let public = Admin::builder(&engine).transport(tls.clone()).bind("0.0.0.0:0".parse().unwrap());
    let server = public.timeout(millis(500)).build().unwrap().serve().await.unwrap();
    let at: std::net::SocketAddr = ([127, 0, 0, 1], server.local_addr().port()).into();
    let request = format!("GET {BASE}/readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    let mut plain = tokio::net::TcpStream::connect(at).await.unwrap();
    plain.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).await.ok();
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"), "nothing is told in the clear");
    let silent = tokio::net::TcpStream::connect(at).await.unwrap();
    let mut sealed = tls.connect(at, "ops.internal").await.unwrap();
    sealed.write_all(request.as_bytes()).await.unwrap();
    sealed.flush().await.unwrap();
    let mut answer = String::new();
    sealed.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ready"), "{answer}");
    let mut closed = Vec::new();
    timeout(secs(10), { silent }.read_to_end(&mut closed)).await.expect("a handshake is not waited for").ok();
    server.stop().await;
}

#[tokio::test]
async fn tokens_are_shown_nowhere() {
    let engine = Engine::builder().build().unwrap();
    let builder = Admin::builder(&engine).read_token(READ).write_token(WRITE);
    let mut told = format!("{builder:?}");
    told += &format!("{:?}", builder.build().unwrap());
    assert!(!told.contains(READ) && !told.contains(WRITE), "{told}");
}

#[tokio::test]
async fn a_server_lives_as_long_as_its_engine() {
    let network = SimNetwork::new(1);
    let at: std::net::SocketAddr = ([127, 0, 0, 1], 80).into();
    let engine = Engine::builder().build().unwrap();
    let admin = Admin::builder(&engine).transport(network.host(at.ip())).bind(at).build().unwrap();
    let server = admin.serve().await.unwrap();
    assert_eq!(server.local_addr(), at);
    assert_eq!(admin.serve().await.unwrap_err().kind(), ErrorKind::Io, "the address is taken");
    server.stop().await;
    let again = admin.serve().await.unwrap();
    drop(again);
    engine.start().await.unwrap();
    engine.stop().await.unwrap();
    let stopped = admin.serve().await.unwrap_err();
    assert_eq!(stopped.find_source(), Some(&EngineError::Stopped));
}
