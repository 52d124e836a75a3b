//! What an own listener survives.

use std::net::SocketAddr;

use memstache_cluster::{
    Engine,
    admin::{Admin, AdminServer},
    net::{BoxStream, SimNetwork, Transport as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::{
    kit::*,
    sources::{Stopwatch, millis, secs},
};

/// A node that listens on a network in memory.
struct Served {
    engine: Engine,
    network: SimNetwork,
    at: SocketAddr,
    _server: AdminServer,
}

impl Served {
    async fn start() -> Self {
        let (engine, network) = (alone([users()]).await, SimNetwork::new(3));
        let at: SocketAddr = ([127, 0, 0, 1], 3321).into();
        let admin = Admin::builder(&engine)
            .transport(network.host(at.ip()))
            .bind(at)
            .write_token(WRITE)
            .max_connections(16)
            .build()
            .unwrap();
        let server = admin.serve().await.unwrap();
        Self { engine, network, at, _server: server }
    }

    async fn connect(&self) -> BoxStream {
        loop {
            // Refused while as many wait to be accepted as may.
            match self.network.host([127, 0, 0, 2]).connect(self.at, "admin").await {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(millis(1)).await,
            }
        }
    }

    /// Sends bytes and reads until the node closes, or is silent for a minute.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // A node that has heard enough reads no more.
        stream.write_all(bytes).await.ok();
        stream.flush().await.ok();
        let mut answer = Vec::new();
        timeout(secs(60), stream.read_to_end(&mut answer)).await.expect("the connection is closed").ok();
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn assert_serves(&self) {
        let request = format!("GET {BASE}/readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        let answer = timeout(secs(5), self.exchange(request.as_bytes())).await.expect("an answer in time");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ready"), "{answer}");
    }
}

fn head(lines: &str) -> String {
    format!("GET {BASE}/peers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n")
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_of_ours_is_refused_and_the_node_goes_on() {
    let served = Served::start().await;
    for (bytes, status) in [
        (head(&format!("X: {}\r\n", "x".repeat(20_000))), "431"),
        (head(&(0..100).map(|n| format!("X-{n}: x\r\n")).collect::<String>()), "431"),
        (format!("GET {BASE}/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(30_000)), "4"),
        (head("Content-Length: 1000000\r\n"), "413"),
        (head("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n", "413"),
        (head("Content-Length: 5\r\nContent-Length: 6\r\n"), "400"),
        (head("Host: localhost\r\n"), "421"),
        (head("").replace("localhost", "evil.example"), "421"),
        (head("").replace("localhost", "127.0.0.1.evil.example:3321"), "421"),
        (head("").replace("GET", "GET GET"), "400"),
        ("\u{16}\u{3}\u{1}hello".to_owned(), "400"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), ""),
        (head("").replace("/peers", "/../../../etc/passwd"), "404"),
        (head("").replace("/peers", "/%2e%2e/%2e%2e/etc/passwd"), "404"),
        (head("").replace("/peers", "//peers"), "404"),
        (head("").replace("/peers", "/peers%00"), "404"),
        (head("Authorization: Bearer \u{7f}\r\n"), "400"),
        (
            format!(
                "POST {BASE}/drain HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: http://evil.example\r\n\r\n"
            ),
            "401",
        ),
    ] {
        let answer = served.exchange(bytes.as_bytes()).await;
        let first = bytes.lines().next().unwrap_or_default();
        let first = &first[..first.len().min(60)];
        assert!(status.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status}")), "{first}: {answer}");
        served.assert_serves().await;
    }
    assert!(served.engine.is_ready());
}

#[tokio::test(start_paused = true)]
async fn who_is_slow_is_not_waited_for() {
    let served = Served::start().await;
    let started = Stopwatch::start();
    assert_eq!(served.exchange(b"").await, "", "silence");
    assert!((secs(10)..secs(11)).contains(&started.elapsed()), "{:?}", started.elapsed());

    let mut stream = served.connect().await;
    let started = Stopwatch::start();
    for byte in head("").bytes().take(30) {
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(secs(1)).await;
    }
    let mut answer = String::new();
    timeout(secs(60), stream.read_to_string(&mut answer)).await.expect("closed").ok();
    assert!(!answer.contains("200 OK"), "{answer}");
    assert!(started.elapsed() <= secs(31));

    let mut stream = served.connect().await;
    stream.write_all(head("Content-Length: 100\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(secs(5), stream.read_to_string(&mut answer)).await.expect("a body is not waited for").ok();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    served.assert_serves().await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_connections_leave_room_for_one_more() {
    let served = Served::start().await;
    let mut streams = Vec::new();
    for n in 0..10_000 {
        let mut stream = served.connect().await;
        if n % 2 == 0 {
            stream.write_all(b"GET / HTTP/1.1\r\nX-").await.unwrap();
        }
        streams.push(stream);
    }
    served.assert_serves().await;
    let mut open = 0;
    for stream in &mut streams {
        // An end, or a reset: closed.
        open += usize::from(timeout(millis(1), stream.read_u8()).await.is_err());
    }
    assert!(open <= 16, "{open} are open");
    assert!(open > 0, "the last ones wait for their time to be over");
}

#[tokio::test(start_paused = true)]
async fn who_follows_events_keeps_the_seat_of_the_connection() {
    let served = Served::start().await;
    let mut follower = served.connect().await;
    follower.write_all(head("").replace("/peers", "/events").as_bytes()).await.unwrap();
    let mut buffer = vec![0; 4096];
    let read = follower.read(&mut buffer).await.unwrap();
    assert!(String::from_utf8_lossy(&buffer[..read]).starts_with("HTTP/1.1 200 OK"));
    let mut others = Vec::new();
    for _ in 0..40 {
        others.push(served.connect().await);
        tokio::time::sleep(millis(1)).await;
    }
    tokio::time::sleep(secs(16)).await;
    let read = timeout(secs(1), follower.read(&mut buffer)).await.expect("kept alive").unwrap();
    assert!(read > 0, "it was not closed for the others");
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again_and_ends_with_the_engine() {
    let served = Served::start().await;
    let mut stream = served.connect().await;
    let request = format!("GET {BASE}/healthz HTTP/1.1\r\nHost: [::1]\r\n\r\n");
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(String::from_utf8_lossy(&buffer[..read]).ends_with("ok"));
    }
    served.engine.stop().await.unwrap();
    let mut rest = Vec::new();
    timeout(secs(2), stream.read_to_end(&mut rest)).await.expect("closed").ok();
    assert!(rest.is_empty());
    assert!(served.network.host([127, 0, 0, 2]).connect(served.at, "admin").await.is_err(), "nobody listens");
}
