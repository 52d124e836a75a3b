//! Slow clients that others wrote.

use std::{env, process::Stdio};

use memstache_cluster::admin::Admin;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
    time::timeout,
};

use crate::{
    kit::*,
    sources::{Stopwatch, millis, secs},
};

/// Asks for readiness on a connection of its own; how long that took.
async fn probe(at: std::net::SocketAddr) -> std::time::Duration {
    let started = Stopwatch::start();
    let asked = async {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let request = format!("GET {BASE}/readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    };
    timeout(secs(5), asked).await.expect("an answer within five seconds");
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs slowhttptest; run by cargo xtask test"]
async fn slow_clients_keep_nobody_from_being_answered() {
    let program = env::var("MEMSTACHE_SLOWHTTPTEST").expect("cargo xtask test says where slowhttptest is");
    let engine = alone([users()]).await;
    let admin = Admin::builder(&engine).bind("127.0.0.1:0".parse().unwrap()).max_connections(64).build().unwrap();
    let server = admin.serve().await.unwrap();
    let at = server.local_addr();
    let page = format!("http://{at}{BASE}/");
    // Slow heads, slow bodies, slow readers: many times as many as there are seats.
    for mode in [&["-H"][..], &["-B", "-s", "100000"], &["-X", "-k", "3", "-z", "16"]] {
        let mut command = Command::new(&program);
        command.args(mode).args(["-c", "600", "-r", "200", "-i", "2", "-l", "6", "-u", &page]).kill_on_drop(true);
        let mut slow = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut probes = 0;
        while slow.try_wait().unwrap().is_none() {
            probe(at).await;
            probes += 1;
            tokio::time::sleep(millis(200)).await;
        }
        assert!(probes >= 10, "{mode:?}: {probes} answers");
        assert!(slow.wait().await.unwrap().success(), "{mode:?} ran");
    }
    server.stop().await;
}
