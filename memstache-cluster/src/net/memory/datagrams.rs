//! A socket for datagrams in memory.

use std::{
    fmt,
    future::poll_fn,
    io,
    net::SocketAddr,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use memstache_core::{BoxFuture, Tick};

use super::{SimNetwork, host::crashed};
use crate::net::{Datagrams, MAX_DATAGRAM};

/// A socket of a [`SimHost`](super::SimHost).
pub struct SimDatagrams {
    network: SimNetwork,
    at: SocketAddr,
    life: u64,
}

/// What is there to be received.
enum Next {
    Some(SocketAddr, Bytes),
    Later(Tick),
    Nothing,
    Closed,
}

impl SimDatagrams {
    pub(super) fn new(network: SimNetwork, at: SocketAddr, life: u64) -> Self {
        Self { network, at, life }
    }

    fn next(&self, cx: &Context<'_>) -> Next {
        let now = self.network.clock.now();
        self.network.change(|state, _| {
            let lives = state.lives(self.at.ip(), self.life);
            let Some(inbox) = state.inboxes.get_mut(&self.at).filter(|_| lives) else { return Next::Closed };
            inbox.waker = Some(cx.waker().clone());
            match inbox.queue.first_key_value() {
                None => Next::Nothing,
                Some(((at, _), _)) if *at > now => Next::Later(*at),
                Some(_) => {
                    let (_, (from, bytes)) = inbox.queue.pop_first().expect("it was just there");
                    Next::Some(from, bytes)
                }
            }
        })
    }
}

impl Datagrams for SimDatagrams {
    fn send_to<'a>(&'a self, datagram: &'a [u8], to: SocketAddr) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            if datagram.len() > MAX_DATAGRAM {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "the datagram is too long"));
            }
            let now = self.network.clock.now();
            self.network.change(|state, effects| {
                if !state.lives(self.at.ip(), self.life) {
                    return Err(crashed());
                }
                state.send(self.at, to, datagram, now, effects);
                Ok(())
            })
        })
    }

    fn recv_from<'a>(&'a self, buffer: &'a mut BytesMut) -> BoxFuture<'a, io::Result<SocketAddr>> {
        let mut timer: Option<(Tick, BoxFuture<'static, ()>)> = None;
        Box::pin(poll_fn(move |cx| {
            loop {
                match self.next(cx) {
                    Next::Some(from, bytes) => {
                        buffer.clear();
                        buffer.extend_from_slice(&bytes);
                        return Poll::Ready(Ok(from));
                    }
                    Next::Nothing => return Poll::Pending,
                    Next::Closed => return Poll::Ready(Err(crashed())),
                    Next::Later(at) => {
                        if timer.as_ref().is_none_or(|(armed, _)| *armed != at) {
                            timer = Some((at, self.network.clock.sleep_until(at)));
                        }
                        let (_, timer) = timer.as_mut().expect("just armed");
                        if timer.as_mut().poll(cx).is_pending() {
                            return Poll::Pending;
                        }
                    }
                }
            }
        }))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }
}

impl Drop for SimDatagrams {
    fn drop(&mut self) {
        self.network.change(|state, _| {
            // Of one that crashed nothing is left; the address may be another's by now.
            if state.lives(self.at.ip(), self.life) {
                state.inboxes.remove(&self.at);
            }
        });
    }
}

impl fmt::Debug for SimDatagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDatagrams").field("at", &self.at).finish_non_exhaustive()
    }
}
