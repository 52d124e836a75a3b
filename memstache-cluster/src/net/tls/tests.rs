use std::{fs, io, net::SocketAddr, sync::Arc, time::Duration};

use memstache_core::{ErrorKind, SystemClock};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::net::{SimHost, SimNetwork};

/// An authority that signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Certificate and key for this name.
    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn config(&self, name: &str) -> TlsConfig {
        let (certificate, key) = self.sign(name);
        TlsConfig::new(Pem::bytes(self.pem.clone()), Pem::bytes(certificate), Pem::bytes(key))
    }
}

fn at(n: u8) -> SocketAddr {
    ([10, 0, 0, n], 3320).into()
}

fn host(network: &SimNetwork, n: u8) -> SimHost {
    network.host([10, 0, 0, n])
}

/// Has `near` connect to `far`, and send a byte each way.
async fn meet(near: &Tls, far: &Tls, name: &str) -> (io::Result<()>, io::Result<()>) {
    let mut listener = far.bind(at(2)).await.unwrap();
    let far = async {
        let mut stream = listener.accept().await?.ready.await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await?;
        stream.flush().await
    };
    let near = async {
        let mut stream = near.connect(at(2), name).await?;
        stream.write_u8(7).await?;
        stream.flush().await?;
        assert_eq!(stream.read_u8().await?, 7);
        Ok(())
    };
    tokio::join!(near, far)
}

#[tokio::test(start_paused = true)]
async fn nodes_of_one_authority_meet_by_name_and_by_address() {
    let (authority, network) = (Authority::new(), SimNetwork::new(1));
    let over = |n, config| Tls::over(host(&network, n), config).unwrap();
    let near = over(1, authority.config("node-1"));
    assert!(near.is_secure() && !host(&network, 1).is_secure());
    let (a, b) = meet(&near, &over(2, authority.config("node-2")), "node-2").await;
    assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
    let (a, _) = meet(&near, &over(2, authority.config("10.0.0.2")), "10.0.0.2:3320").await;
    assert!(a.is_ok(), "{a:?}");
    let shared = over(1, authority.config("cache.internal").with_server_name("cache.internal"));
    let (a, _) = meet(&shared, &over(2, authority.config("cache.internal")), "whatever it is called").await;
    assert!(a.is_ok(), "{a:?}");
}

#[tokio::test(start_paused = true)]
async fn strangers_do_not_meet() {
    let (ours, theirs, network) = (Authority::new(), Authority::new(), SimNetwork::new(2));
    let over = |n, config| Tls::over(host(&network, n), config).unwrap();
    let near = over(1, ours.config("node-1"));
    let (a, b) = meet(&near, &over(2, ours.config("node-3")), "node-2").await;
    assert!(a.unwrap_err().to_string().contains("not valid for name") && b.is_err());
    let (a, b) = meet(&near, &over(2, theirs.config("node-2")), "node-2").await;
    assert!(a.unwrap_err().to_string().contains("invalid peer certificate") && b.is_err());
    // Nobody is called whose name no certificate can have.
    let nameless = near.connect(at(2), "no name at all").await.map(drop);
    assert_eq!(nameless.unwrap_err().kind(), io::ErrorKind::InvalidInput);

    // Who trusts us but is signed by somebody else.
    let (certificate, key) = theirs.sign("node-1");
    let mixed = TlsConfig::new(Pem::bytes(ours.pem.clone()), Pem::bytes(certificate), Pem::bytes(key));
    let far = over(2, ours.config("node-2"));
    let (a, b) = meet(&over(1, mixed.clone()), &far, "node-2").await;
    assert!(a.is_err() && b.is_err(), "{a:?} {b:?}");
    let lenient = over(2, ours.config("node-2").without_client_certificates());
    let (a, b) = meet(&over(1, mixed), &lenient, "node-2").await;
    assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
}

#[tokio::test(start_paused = true)]
async fn plain_bytes_are_no_tls() {
    let (authority, network) = (Authority::new(), SimNetwork::new(3));
    let far = Tls::over(host(&network, 2), authority.config("node-2")).unwrap();
    let mut listener = far.bind(at(2)).await.unwrap();
    let mut near = host(&network, 1).connect(at(2), "node-2").await.unwrap();
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(listener.accept().await.unwrap().ready.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn sessions_are_resumed_until_certificates_change() {
    let (authority, network) = (Authority::new(), SimNetwork::new(4));
    let tls = Tls::over(host(&network, 2), authority.config("node-2")).unwrap();
    let kind = async || {
        let mut listener = tls.bind(at(2)).await.unwrap();
        let server = TlsAcceptor::from(tls.current().server);
        let far = async {
            let plain = host(&network, 1).connect(at(2), "node-2").await.unwrap();
            let connector = TlsConnector::from(tls.current().client);
            let mut near = connector.connect("node-2".try_into().unwrap(), plain).await.unwrap();
            assert_eq!(near.read_u8().await.unwrap(), 1);
            near.get_ref().1.handshake_kind()
        };
        let serve = async {
            let mut stream = listener.accept().await.unwrap().ready.await.unwrap();
            stream.write_u8(1).await.unwrap();
            stream.flush().await.unwrap();
            drop(server);
            stream
        };
        tokio::join!(far, serve).0
    };
    assert_eq!(kind().await, Some(HandshakeKind::Full));
    assert_eq!(kind().await, Some(HandshakeKind::Resumed));
    tls.reload().unwrap();
    assert_eq!(kind().await, Some(HandshakeKind::Full));
}

/// A folder of its own for a test.
fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("memstache-tls-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test(start_paused = true)]
async fn files_are_read_again_when_they_change() {
    let (old, new, network) = (Authority::new(), Authority::new(), SimNetwork::new(5));
    let folder = folder("reload");
    let file = |name: &str| folder.join(name);
    let write = |authority: &Authority| {
        let (certificate, key) = authority.sign("node-2");
        fs::write(file("ca"), &authority.pem).unwrap();
        fs::write(file("certificate"), certificate).unwrap();
        fs::write(file("key"), key + "\n").unwrap();
    };
    write(&old);
    let config = TlsConfig::new(Pem::file(file("ca")), Pem::file(file("certificate")), Pem::file(file("key")));
    let far = Tls::over(host(&network, 2), config).unwrap();
    let watching = far.watch(Duration::from_secs(5), Arc::new(SystemClock::new())).unwrap();
    assert!(far.watch(Duration::ZERO, Arc::new(SystemClock::new())).is_err());
    let near = |authority: &Authority| Tls::over(host(&network, 1), authority.config("node-1")).unwrap();
    assert!(meet(&near(&old), &far, "node-2").await.0.is_ok());

    fs::write(file("key"), "nonsense").unwrap();
    let error = far.reload().unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().starts_with("key must be PEM"), "{error}");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(meet(&near(&old), &far, "node-2").await.0.is_ok(), "what is in use stays");

    write(&new);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(meet(&near(&new), &far, "node-2").await.0.is_ok());
    assert!(meet(&near(&old), &far, "node-2").await.0.is_err());
    drop(watching);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_cannot_be_used_is_named() {
    let (authority, network) = (Authority::new(), SimNetwork::new(6));
    let (certificate, key) = authority.sign("node-1");
    let error = |ca: &Pem, certificate: &Pem, key: &Pem| {
        let config = TlsConfig::new(ca.clone(), certificate.clone(), key.clone());
        Tls::over(host(&network, 1), config).unwrap_err()
    };
    let (ca, nonsense) = (Pem::bytes(authority.pem.clone()), Pem::bytes("nonsense"));
    let (certificate, key) = (Pem::bytes(certificate), Pem::bytes(key));
    let text = error(&nonsense, &certificate, &key).to_string();
    assert_eq!(text, "ca must be PEM that can be used, but it cannot: it has no certificate");
    assert!(error(&ca, &nonsense, &key).to_string().starts_with("certificate must be PEM"));
    assert!(error(&ca, &certificate, &nonsense).to_string().starts_with("key must be PEM"));
    let other = Pem::bytes(authority.sign("node-1").1);
    assert!(error(&ca, &certificate, &other).to_string().starts_with("key must be PEM"), "another's key");
    let away = Pem::file("/nonexistent/file");
    let missing = error(&ca, &certificate, &away);
    assert_eq!(missing.kind(), ErrorKind::Io);
    assert_eq!(missing.to_string(), "the file of key cannot be read: entity not found");
    assert!(!format!("{:?}", TlsConfig::new(ca, certificate, key)).contains("BEGIN"));
}
