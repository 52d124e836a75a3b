//! A network in memory: seeded, so that a run can be repeated.

mod datagrams;
mod host;
mod pipe;
mod state;
mod stream;
#[cfg(test)]
mod tests;

use std::{fmt, net::IpAddr, ops::RangeInclusive, sync::Arc, time::Duration};

use memstache_core::{Clock, SystemClock};
use parking_lot::Mutex;

use self::state::{Effects, State};
pub use self::{datagrams::SimDatagrams, host::SimHost, state::Traffic};

/// A network in memory. Clones are the same network.
///
/// Hosts are known by their IP addresses. By default nothing is late or lost. Delays are in whole milliseconds of the
/// clock: by default of the system's, which follows tokio's paused time.
///
/// What is random is drawn from the seed: on one thread, under paused time, a run is the same for the same seed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> std::io::Result<()> {
/// use std::{net::IpAddr, time::Duration};
/// use memstache_cluster::net::{SimNetwork, Transport};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let network = SimNetwork::new(7);
/// network.set_delay(Duration::from_millis(1)..=Duration::from_millis(3));
/// let [a, b]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
/// let mut listener = network.host(b).bind((b, 3320).into()).await?;
/// let mut near = network.host(a).connect((b, 3320).into(), "b").await?;
/// let mut far = listener.accept().await?.ready.await?;
///
/// network.cut(a, b);
/// near.write_all(b"tea").await?;
/// let mut text = [0; 3];
/// assert!(tokio::time::timeout(Duration::from_secs(60), far.read(&mut text)).await.is_err());
/// network.heal(a, b);
/// far.read_exact(&mut text).await?;
/// assert_eq!(&text, b"tea");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SimNetwork {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

impl SimNetwork {
    /// Creates a network without hosts.
    pub fn new(seed: u64) -> Self {
        Self::with_clock(seed, SystemClock::new())
    }

    /// Creates a network whose delays are by another clock.
    pub fn with_clock(seed: u64, clock: impl Clock) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(seed))), clock: Arc::new(clock) }
    }

    /// Returns a host, from which to connect, listen, send and receive.
    pub fn host(&self, ip: impl Into<IpAddr>) -> SimHost {
        SimHost::new(self.clone(), ip.into())
    }

    /// Delays all that is sent from now on by a random span of this range. Streams keep their order, datagrams do not.
    pub fn set_delay(&self, range: RangeInclusive<Duration>) {
        self.change(|state, _| state.delay = range);
    }

    /// Loses this part (0 to 1) of all datagrams that are sent from now on.
    ///
    /// # Panics
    /// If it is no number from 0 to 1.
    pub fn set_loss(&self, part: f64) {
        assert!((0.0..=1.0).contains(&part), "a part of all datagrams is from 0 to 1");
        self.change(|state, _| state.loss = part);
    }

    /// Delivers this part (0 to 1) of all datagrams twice.
    ///
    /// # Panics
    /// If it is no number from 0 to 1.
    pub fn set_doubled(&self, part: f64) {
        assert!((0.0..=1.0).contains(&part), "a part of all datagrams is from 0 to 1");
        self.change(|state, _| state.doubled = part);
    }

    /// Cuts the way from one host to another, not the way back: datagrams are lost, streams stand still, connections are
    /// not made.
    pub fn cut(&self, from: IpAddr, to: IpAddr) {
        self.change(|state, _| {
            state.cuts.insert((from, to));
        });
    }

    /// Cuts both ways between two hosts.
    pub fn cut_both(&self, a: IpAddr, b: IpAddr) {
        self.cut(a, b);
        self.cut(b, a);
    }

    /// Cuts both ways between a host and all others that are there today.
    pub fn isolate(&self, host: IpAddr) {
        self.change(|state, _| state.isolate(host));
    }

    /// Mends both ways between two hosts; streams go on where they stood.
    pub fn heal(&self, a: IpAddr, b: IpAddr) {
        self.change(|state, effects| {
            state.cuts.remove(&(a, b));
            state.cuts.remove(&(b, a));
            state.wake_all(effects);
        });
    }

    /// Mends all that was cut.
    pub fn heal_all(&self) {
        self.change(|state, effects| {
            state.cuts.clear();
            state.wake_all(effects);
        });
    }

    /// Swallows all that is sent over the connections that two hosts have now, for good and without telling anybody. New
    /// ones are not harmed.
    pub fn black_hole(&self, a: IpAddr, b: IpAddr) {
        self.change(|state, _| state.black_hole(a, b));
    }

    /// Resets the connections that two hosts have now.
    pub fn reset(&self, a: IpAddr, b: IpAddr) {
        self.change(|state, effects| state.reset(|x, y| (x, y) == (a, b) || (y, x) == (a, b), effects));
    }

    /// Ends a host as by the operating system when a process is killed: its connections are reset, its sockets closed. What is left
    /// of it sends nothing any more; whoever starts there again takes a [`host`](Self::host) of his own.
    pub fn crash(&self, host: IpAddr) {
        self.change(|state, effects| state.crash(host, effects));
    }

    /// Returns what a host has sent so far.
    pub fn sent(&self, host: IpAddr) -> Traffic {
        self.state.lock().sent.get(&host).copied().unwrap_or_default()
    }

    /// Changes the state, and wakes whom that concerns without the lock.
    fn change<T>(&self, change: impl FnOnce(&mut State, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let result = change(&mut self.state.lock(), &mut effects);
        effects.wake();
        result
    }
}

impl fmt::Debug for SimNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimNetwork").finish_non_exhaustive()
    }
}
