//! Discovery by NATS, of this year and of the oldest that is around.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use memstache_cluster::{
    Member,
    discovery::{NatsDiscovery, NatsDiscoveryBuilder},
    membership::Discovery,
};
use memstache_core::ErrorKind;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::{
    kit::{Folder, Server, eventually, free_port, names, program},
    story::{Place, play},
};

const VERSIONS: [&str; 2] = ["MEMSTACHE_NATS", "MEMSTACHE_NATS_OLD"];

struct Nats {
    server: Server,
    folder: Folder,
}

impl Nats {
    fn new(version: &str, more: impl FnOnce(&Folder) -> String) -> Self {
        let (folder, port) = (Folder::new(), free_port(Ipv4Addr::LOCALHOST));
        let text = format!("host: 127.0.0.1\nport: {port}\n{}", more(&folder));
        let file = folder.write("nats.conf", text).display().to_string();
        let at = ([127, 0, 0, 1], port).into();
        Self { server: Server::start(program(version), &["--config", &file], at, &folder), folder }
    }

    fn plain(version: &str) -> Self {
        Self::new(version, |_| String::new())
    }

    fn asked(&self) -> NatsDiscoveryBuilder {
        NatsDiscovery::builder(format!("nats://{}", self.server.at), "memstache.test")
            .heartbeat(Duration::from_millis(300))
    }

    fn node(&self) -> NatsDiscovery {
        self.asked().build().unwrap()
    }
}

fn member(host: u8) -> Member {
    Member::at(([10, 0, 0, host], 3322).into())
}

fn at(hosts: &[u8]) -> Vec<SocketAddr> {
    hosts.iter().map(|host| member(*host).gossip).collect()
}

#[tokio::test]
#[ignore = "needs NATS: cargo xtask test"]
async fn nodes_register_are_found_and_deregister() {
    for version in VERSIONS {
        let server = Nats::plain(version);
        let (one, two, three) = (server.node(), server.node(), server.node());
        assert_eq!(one.discover().await.unwrap(), [], "nobody is there");
        let mut seen = one.watch().unwrap();
        one.register(&member(1)).await.unwrap();
        two.register(&member(2)).await.unwrap();
        names(&mut seen, &at(&[1, 2])).await;
        assert_eq!(three.discover().await.unwrap(), at(&[1, 2]), "who comes later asks");
        two.deregister(&member(2)).await.unwrap();
        names(&mut seen, &at(&[1])).await;
        assert_eq!(server.node().discover().await.unwrap(), at(&[1]));
        // One that says nothing any more is named a while, and no longer.
        two.register(&member(2)).await.unwrap();
        names(&mut seen, &at(&[1, 2])).await;
        drop(two);
        eventually("it is forgotten", async || one.discover().await.unwrap() == at(&[1])).await;
        // Noise harms nobody.
        let noisy = async_nats::connect(server.server.at.to_string()).await.unwrap();
        for noise in ["", "{", "{\"v\":9,\"kind\":\"here\"}", "{\"v\":1,\"kind\":\"here\",\"at\":\"0.0.0.0:0\"}"] {
            noisy.publish("memstache.test", noise.into()).await.unwrap();
        }
        noisy.flush().await.unwrap();
        assert_eq!(three.discover().await.unwrap(), at(&[1]));
    }
}

#[tokio::test]
#[ignore = "needs NATS: cargo xtask test"]
async fn a_failed_connect_is_an_error_and_is_tried_again() {
    for version in VERSIONS {
        let mut server = Nats::plain(version);
        server.server.kill();
        let node = server.node();
        let error = node.discover().await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
        assert_eq!(node.register(&member(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
        server.server.resume();
        node.register(&member(1)).await.unwrap();
        assert_eq!(node.discover().await.unwrap(), at(&[1]));
    }
}

#[tokio::test]
#[ignore = "needs NATS: cargo xtask test"]
async fn a_server_that_was_killed_and_returns_is_used_again() {
    for version in VERSIONS {
        let mut server = Nats::plain(version);
        let (one, two) = (server.node(), server.node());
        one.register(&member(1)).await.unwrap();
        two.register(&member(2)).await.unwrap();
        server.server.kill();
        eventually("it is noticed", async || one.discover().await.is_err()).await;
        let begin = Instant::now();
        assert!(one.discover().await.is_err() && one.deregister(&member(1)).await.is_err());
        assert!(begin.elapsed() < Duration::from_secs(1), "at once, and not after {:?}", begin.elapsed());
        server.server.resume();
        eventually("both are connected again", async || {
            one.register(&member(1)).await.is_ok() && one.discover().await.is_ok_and(|found| found == at(&[1, 2]))
        })
        .await;
    }
}

#[tokio::test]
#[ignore = "needs NATS: cargo xtask test"]
async fn who_has_no_right_is_refused() {
    for version in VERSIONS {
        let server = Nats::new(version, |_| "authorization { user: shop, password: open-sesame }\n".to_owned());
        let refused = |builder: NatsDiscoveryBuilder| async move {
            let error = builder.build().unwrap().discover().await.unwrap_err();
            assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, false), "{error:?}");
            assert!(!format!("{error:?} {error}").contains("sesam"), "{error:?}");
        };
        refused(server.asked()).await;
        refused(server.asked().user_and_password("shop", "sesam-street")).await;
        let node = server.asked().user_and_password("shop", "open-sesame").build().unwrap();
        node.register(&member(1)).await.unwrap();
        assert_eq!(node.discover().await.unwrap(), at(&[1]));

        let server = Nats::new(version, |_| "authorization { token: open-sesame }\n".to_owned());
        refused(server.asked().token("sesam-street")).await;
        assert_eq!(server.asked().token("open-sesame").build().unwrap().discover().await.unwrap(), []);
    }
}

#[tokio::test]
#[ignore = "needs NATS: cargo xtask test"]
async fn tls_is_spoken_with_whom_the_authority_signed() {
    for version in VERSIONS {
        let server = Nats::new(version, |folder| {
            certificates(folder);
            let file = |name: &str| folder.path().join(name).display().to_string();
            let [cert, key, ca] = ["server.pem", "server.key", "ca.pem"].map(file);
            format!("tls {{ cert_file: {cert:?}, key_file: {key:?}, ca_file: {ca:?}, verify: true }}\n")
        });
        let file = |name: &str| server.folder.path().join(name);
        let asked = || server.asked().timeout(Duration::from_secs(4)).require_tls();
        let with = asked().ca(file("ca.pem")).identity(file("client.pem"), file("client.key"));
        with.build().unwrap().register(&member(1)).await.unwrap();
        for wrong in [
            asked().ca(file("ca.pem")),
            asked().identity(file("client.pem"), file("client.key")),
            asked().ca(file("other.pem")).identity(file("client.pem"), file("client.key")),
        ] {
            assert_eq!(wrong.build().unwrap().discover().await.unwrap_err().kind(), ErrorKind::Unavailable);
        }
        for (wrong, kind) in [
            (asked().ca(file("gone.pem")), ErrorKind::Io),
            (asked().ca(file("client.key")), ErrorKind::Invalid),
            (asked().ca(file("ca.pem")).identity(file("client.pem"), file("client.pem")), ErrorKind::Invalid),
        ] {
            assert_eq!(wrong.build().unwrap().discover().await.unwrap_err().kind(), kind);
        }
        let without = Nats::plain(version);
        let error = without.asked().require_tls().ca(file("ca.pem")).build().unwrap().discover().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}

/// An authority, another one, and what the first signed.
fn certificates(folder: &Folder) {
    let authority = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        folder.write(name, params.self_signed(&key).unwrap().pem());
        Issuer::new(params, key)
    };
    let (first, _) = (authority("ca.pem"), authority("other.pem"));
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        folder.write(&format!("{name}.pem"), params.signed_by(&key, &first).unwrap().pem());
        folder.write(&format!("{name}.key"), key.serialize_pem());
    }
}

impl Place for Nats {
    type Discovery = NatsDiscovery;

    fn discovery(&self) -> NatsDiscovery {
        self.node()
    }

    fn appear(&mut self, _: &[(&str, SocketAddr)]) {}

    fn vanish(&mut self, _: &str, _: SocketAddr) {}

    fn end(&mut self) {
        self.server.kill();
    }

    fn resume(&mut self) {
        self.server.resume();
    }
}

#[tokio::test]
#[ignore = "needs NATS: cargo xtask test"]
async fn nodes_find_each_other_by_nats() {
    play(Nats::plain(VERSIONS[0]), 12).await;
}

#[tokio::test]
#[ignore = "needs NATS: cargo xtask test"]
async fn nodes_find_each_other_by_an_old_nats() {
    play(Nats::plain(VERSIONS[1]), 13).await;
}
