//! Echoes of 256 bytes over TLS: calls between peers beside bare frames, in turns, in one run.
//!
//! `cargo bench -p memstache-cluster --features test-util,tls --bench peer`. Both have one connection, on which many calls
//! are under way. The bare one is `LengthDelimitedCodec` of tokio-util over tokio-rustls: a task reads, a task writes what
//! is queued in one go, and answers are told apart by a number. Mark: at least 0.6 of its rate at 128 tasks.

#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

use std::{
    collections::HashMap,
    error::Error,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt as _};
use memstache_cluster::{
    net::{Pem, Tcp, Tls, TlsConfig, Transport},
    peer_testing::{EchoClient, EchoServer},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::sync::{mpsc, oneshot};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

const NAME: &str = "cache.internal";
const LEN: usize = 256;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(700);
const MARK: f64 = 0.6;

type BoxError = Box<dyn Error + Send + Sync>;

fn tls() -> Result<Tls, BoxError> {
    let mut authority = CertificateParams::new([])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate()?;
    let ca = authority.self_signed(&ca_key)?.pem();
    let key = KeyPair::generate()?;
    let certificate =
        CertificateParams::new([NAME.to_owned()])?.signed_by(&key, &Issuer::from_params(&authority, ca_key))?.pem();
    let config = TlsConfig::new(Pem::bytes(ca), Pem::bytes(certificate), Pem::bytes(key.serialize_pem()));
    Ok(Tls::over(Tcp::new(), config.with_server_name(NAME))?)
}

/// The bare one: a call is a number and bytes.
#[derive(Clone)]
struct Bare {
    calls: mpsc::Sender<(Bytes, oneshot::Sender<Bytes>)>,
}

impl Bare {
    async fn serve(tls: &Tls) -> Result<SocketAddr, BoxError> {
        let mut listener = tls.bind(([127, 0, 0, 1], 0).into()).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            let stream = listener.accept().await?.ready.await?;
            let (read, write) = tokio::io::split(stream);
            let mut read = FramedRead::new(read, LengthDelimitedCodec::new());
            let mut write = FramedWrite::new(write, LengthDelimitedCodec::new());
            while let Some(frame) = read.next().await {
                write.feed(frame?.freeze()).await?;
                // What has arrived by now is answered in one go.
                while let Some(Some(frame)) = futures_util::FutureExt::now_or_never(read.next()) {
                    write.feed(frame?.freeze()).await?;
                }
                SinkExt::<Bytes>::flush(&mut write).await?;
            }
            Ok::<(), BoxError>(())
        });
        Ok(address)
    }

    async fn connect(tls: &Tls, to: SocketAddr) -> Result<Self, BoxError> {
        let (read, write) = tokio::io::split(tls.connect(to, NAME).await?);
        let mut read = FramedRead::new(read, LengthDelimitedCodec::new());
        let mut write = FramedWrite::new(write, LengthDelimitedCodec::new());
        let (calls, mut queue) = mpsc::channel::<(Bytes, oneshot::Sender<Bytes>)>(1024);
        let waiting = Arc::new(Mutex::new(HashMap::<u64, oneshot::Sender<Bytes>>::new()));
        let told = Arc::clone(&waiting);
        tokio::spawn(async move {
            let (mut id, mut batch) = (0u64, Vec::new());
            while queue.recv_many(&mut batch, 256).await > 0 {
                for (bytes, answer) in batch.drain(..) {
                    id += 1;
                    told.lock().expect("nobody panics").insert(id, answer);
                    let mut frame = BytesMut::with_capacity(8 + bytes.len());
                    frame.put_u64(id);
                    frame.put(bytes);
                    write.feed(frame.freeze()).await?;
                }
                SinkExt::<Bytes>::flush(&mut write).await?;
            }
            Ok::<(), BoxError>(())
        });
        tokio::spawn(async move {
            while let Some(frame) = read.next().await {
                let mut frame = frame?.freeze();
                let id = frame.get_u64();
                if let Some(answer) = waiting.lock().expect("nobody panics").remove(&id) {
                    let _ = answer.send(frame);
                }
            }
            Ok::<(), BoxError>(())
        });
        Ok(Self { calls })
    }

    async fn echo(&self, bytes: Bytes) -> Result<Bytes, BoxError> {
        let (answer, answered) = oneshot::channel();
        self.calls.send((bytes, answer)).await?;
        Ok(answered.await?)
    }
}

/// Calls a second, and the median of how long one took.
async fn rate<F, G>(tasks: usize, call: F) -> Result<(f64, Duration), BoxError>
where
    F: Fn(Bytes) -> G + Clone + Send + 'static,
    G: Future<Output = Result<Bytes, BoxError>> + Send,
{
    let start = Instant::now();
    let all: Vec<_> = (0..tasks)
        .map(|task| {
            let call = call.clone();
            tokio::spawn(async move {
                let bytes = Bytes::from(vec![task as u8; LEN]);
                let mut took = Vec::new();
                while start.elapsed() < ROUND {
                    let began = Instant::now();
                    if call(bytes.clone()).await? != bytes {
                        return Err("another echo".into());
                    }
                    took.push(began.elapsed());
                }
                Ok::<_, BoxError>(took)
            })
        })
        .collect();
    let mut took = Vec::new();
    for task in all {
        took.extend(task.await??);
    }
    let rate = took.len() as f64 / start.elapsed().as_secs_f64();
    took.sort_unstable();
    Ok((rate, took[took.len() / 2]))
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let tls = tls()?;
    let server = EchoServer::start(&tls, ([127, 0, 0, 1], 0).into(), NAME).await?;
    let peer = EchoClient::new(Arc::new(tls.clone()), NAME, server.address()?)?;
    let bare = Bare::connect(&tls, Bare::serve(&tls).await?).await?;
    let peer = move |bytes: Bytes| {
        let peer = peer.clone();
        async move { Ok::<_, BoxError>(peer.echo(bytes).await?) }
    };
    let bare = move |bytes: Bytes| {
        let bare = bare.clone();
        async move { bare.echo(bytes).await }
    };
    println!(
        "| tasks | bare frames, calls/s | peers, calls/s | ratio | p50 bare | p50 peers |\n| ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    let mut missed = false;
    for tasks in [1, 128] {
        let (mut rates, mut times) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (bare_rate, bare_time) = rate(tasks, bare.clone()).await?;
            let (peer_rate, peer_time) = rate(tasks, peer.clone()).await?;
            rates.push((bare_rate, peer_rate));
            times.push((bare_time, peer_time));
        }
        let ratio = median(rates.iter().map(|(bare, peer)| peer / bare).collect());
        let [bare_rate, peer_rate] = [
            median(rates.iter().map(|(bare, _)| *bare).collect()),
            median(rates.iter().map(|(_, peer)| *peer).collect()),
        ];
        let micros = |time: fn(&(Duration, Duration)) -> Duration| {
            median(times.iter().map(|both| time(both).as_secs_f64() * 1e6).collect())
        };
        let [bare_time, peer_time] = [micros(|both| both.0), micros(|both| both.1)];
        println!("| {tasks} | {bare_rate:.0} | {peer_rate:.0} | {ratio:.2} | {bare_time:.0} µs | {peer_time:.0} µs |");
        missed |= tasks == 128 && ratio < MARK;
    }
    println!("\nMark: at least {MARK} at 128 tasks: {}.", if missed { "missed" } else { "met" });
    Ok(())
}
