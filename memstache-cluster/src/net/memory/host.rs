//! A host of a network in memory, as a transport.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    task::Poll,
};

use memstache_core::BoxFuture;

use super::{
    SimDatagrams, SimNetwork,
    state::{Dialled, Inbox, Listening},
    stream::SimStream,
};
use crate::net::{Accepted, BoxStream, Listener, Transport};

/// A host of a [`SimNetwork`].
#[derive(Clone, Debug)]
pub struct SimHost {
    network: SimNetwork,
    ip: IpAddr,
    life: u64,
}

impl SimHost {
    pub(super) fn new(network: SimNetwork, ip: IpAddr) -> Self {
        let life = network.change(|state, _| state.add_host(ip));
        Self { network, ip, life }
    }

    /// Returns its address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Opens a socket for datagrams; port 0 is any free one.
    ///
    /// Errors: the port is taken; the host has crashed.
    pub fn datagrams(&self, port: u16) -> io::Result<SimDatagrams> {
        let at = self.network.change(|state, _| {
            if !state.lives(self.ip, self.life) {
                return Err(crashed());
            }
            let port = if port == 0 { state.free_port(self.ip) } else { port };
            let at = SocketAddr::new(self.ip, port);
            if state.inboxes.contains_key(&at) {
                return Err(taken());
            }
            state.inboxes.insert(at, Inbox::default());
            Ok(at)
        })?;
        Ok(SimDatagrams::new(self.network.clone(), at, self.life))
    }
}

fn taken() -> io::Error {
    io::ErrorKind::AddrInUse.into()
}

pub(super) fn crashed() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl Transport for SimHost {
    fn bind(&self, at: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            if at.ip() != self.ip && !at.ip().is_unspecified() {
                return Err(io::ErrorKind::AddrNotAvailable.into());
            }
            let at = self.network.change(|state, _| {
                if !state.lives(self.ip, self.life) {
                    return Err(crashed());
                }
                let port = if at.port() == 0 { state.free_port(self.ip) } else { at.port() };
                let at = SocketAddr::new(self.ip, port);
                if state.listeners.contains_key(&at) {
                    return Err(taken());
                }
                state.listeners.insert(at, Listening::default());
                Ok(at)
            })?;
            Ok(Box::new(SimListener { network: self.network.clone(), at, life: self.life }) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, to: SocketAddr, _: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let (stream, at) = poll_fn(|cx| {
                let now = self.network.clock.now();
                let dialled = self.network.change(|state, effects| {
                    state.lives(self.ip, self.life).then(|| state.dial(self.ip, to, now, cx.waker(), effects))
                });
                match dialled.ok_or_else(crashed)? {
                    Dialled::Connected { reads, writes, at } => {
                        Poll::Ready(Ok((SimStream::new(self.network.clone(), reads, writes), at)))
                    }
                    Dialled::Refused => Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionRefused))),
                    Dialled::Silence => Poll::Pending,
                }
            })
            .await?;
            if at > self.network.clock.now() {
                self.network.clock.sleep_until(at).await;
            }
            Ok(Box::new(stream) as BoxStream)
        })
    }
}

struct SimListener {
    network: SimNetwork,
    at: SocketAddr,
    life: u64,
}

impl Listener for SimListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Accepted>> {
        Box::pin(poll_fn(|cx| {
            let taken = self.network.change(|state, _| {
                let lives = state.lives(self.at.ip(), self.life);
                let listening = state.listeners.get_mut(&self.at).filter(|_| lives).ok_or_else(crashed)?;
                listening.waker = Some(cx.waker().clone());
                io::Result::Ok(listening.waiting.pop_front())
            })?;
            let Some(taken) = taken else { return Poll::Pending };
            let stream = SimStream::new(self.network.clone(), taken.reads, taken.writes);
            let ready = Box::pin(async move { Ok(Box::new(stream) as BoxStream) });
            Poll::Ready(Ok(Accepted { remote: taken.remote, ready }))
        }))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.network.change(|state, effects| {
            // Of one that crashed nothing is left; the address may be another's by now.
            if state.lives(self.at.ip(), self.life) {
                state.unlisten(&self.at, effects);
            }
        });
    }
}
