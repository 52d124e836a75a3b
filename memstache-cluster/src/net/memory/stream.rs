//! One end of a connection in memory.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use memstache_core::{BoxFuture, Tick};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{SimNetwork, pipe::Read};

pub(super) struct SimStream {
    network: SimNetwork,
    reads: u64,
    writes: u64,
    timer: Option<(Tick, BoxFuture<'static, ()>)>,
}

impl SimStream {
    pub(super) fn new(network: SimNetwork, reads: u64, writes: u64) -> Self {
        Self { network, reads, writes, timer: None }
    }

    fn look(&self, most: usize, cx: &Context<'_>) -> Read {
        let now = self.network.clock.now();
        self.network.change(|state, effects| {
            let Some(pipe) = state.pipes.get(&self.reads) else { return Read::Reset };
            let cut = state.is_cut(pipe.from, pipe.to);
            let pipe = state.pipes.get_mut(&self.reads).expect("it was just there");
            pipe.reader = Some(cx.waker().clone());
            if cut { Read::Nothing } else { pipe.read(most, now, effects) }
        })
    }
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match this.look(out.remaining(), cx) {
                Read::Some(bytes) => {
                    out.put_slice(&bytes);
                    return Poll::Ready(Ok(()));
                }
                Read::Later(at) => {
                    if this.timer.as_ref().is_none_or(|(armed, _)| *armed != at) {
                        this.timer = Some((at, this.network.clock.sleep_until(at)));
                    }
                    let (_, timer) = this.timer.as_mut().expect("just armed");
                    if timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    this.timer = None;
                }
                Read::Nothing => return Poll::Pending,
                Read::Eof => return Poll::Ready(Ok(())),
                Read::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            }
        }
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let now = self.network.clock.now();
        self.network.change(|state, effects| {
            let arrives = now.after(state.draw_delay());
            let broken = || Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            let Some(pipe) = state.pipes.get_mut(&self.writes) else { return broken() };
            let from = pipe.from;
            match pipe.write(bytes, arrives, effects) {
                None => broken(),
                Some(0) if !bytes.is_empty() => {
                    pipe.writer = Some(cx.waker().clone());
                    Poll::Pending
                }
                Some(len) => {
                    state.traffic(from).stream_bytes += len as u64;
                    Poll::Ready(Ok(len))
                }
            }
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.change(|state, effects| {
            if let Some(pipe) = state.pipes.get_mut(&self.writes) {
                pipe.close(effects);
            }
        });
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.network.change(|state, effects| state.drop_end(self.reads, self.writes, effects));
    }
}
