//! Bare frames: `LengthDelimitedCodec` over TLS, many under way on one connection.
//!
//! A task reads, a task writes what is queued in one go, and answers are told apart by a number.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::{FutureExt as _, SinkExt, StreamExt as _};
use memstache_cluster::net::{Tls, Transport as _};
use tokio::sync::{mpsc, oneshot};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use super::{LEN, Node};
use crate::cluster::tls::NAME;

/// Most calls that are written in one go.
const AT_ONCE: usize = 256;

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Bytes>>>>;

/// Asks an echo.
#[derive(Clone)]
pub(super) struct Frames {
    calls: mpsc::Sender<(Bytes, oneshot::Sender<Bytes>)>,
    value: Bytes,
}

impl Frames {
    pub(super) async fn start(tls: &Tls) -> Result<Self> {
        let stream = tls.connect(serve(tls).await?, NAME).await?;
        let (read, write) = tokio::io::split(stream);
        let mut read = FramedRead::new(read, LengthDelimitedCodec::new());
        let mut write = FramedWrite::new(write, LengthDelimitedCodec::new());
        let (calls, mut queue) = mpsc::channel::<(Bytes, oneshot::Sender<Bytes>)>(1024);
        let waiting = Waiting::default();
        let told = Arc::clone(&waiting);
        tokio::spawn(async move {
            let (mut id, mut batch) = (0_u64, Vec::new());
            while queue.recv_many(&mut batch, AT_ONCE).await > 0 {
                for (bytes, answer) in batch.drain(..) {
                    id += 1;
                    told.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
                    let mut frame = BytesMut::with_capacity(8 + bytes.len());
                    frame.put_u64(id);
                    frame.put(bytes);
                    write.feed(frame.freeze()).await?;
                }
                SinkExt::<Bytes>::flush(&mut write).await?;
            }
            anyhow::Ok(())
        });
        tokio::spawn(async move {
            while let Some(frame) = read.next().await {
                let mut frame = frame?.freeze();
                let answer = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&frame.get_u64());
                // Whoever asked may be gone.
                let _ = answer.map(|answer| answer.send(frame));
            }
            anyhow::Ok(())
        });
        Ok(Self { calls, value: vec![7; LEN].into() })
    }
}

/// Answers with what it is sent.
async fn serve(tls: &Tls) -> Result<SocketAddr> {
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
            while let Some(Some(frame)) = read.next().now_or_never() {
                write.feed(frame?.freeze()).await?;
            }
            SinkExt::<Bytes>::flush(&mut write).await?;
        }
        anyhow::Ok(())
    });
    Ok(address)
}

impl Node for Frames {
    async fn get(&self, _: usize) -> Result<usize> {
        let (answer, answered) = oneshot::channel();
        self.calls.send((self.value.clone(), answer)).await?;
        Ok(answered.await?.len())
    }
}
