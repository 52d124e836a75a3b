//! What a node hears on the subject, and what it answers.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_nats::{Client, Subscriber};
use futures_util::StreamExt as _;
use memstache_core::{Clock, Tick};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    message::{Kind, Message},
    table::Table,
};
use crate::peer::until::until;

/// After how many heartbeats a silent node is named no more.
const SILENT: u32 = 3;

/// What is known, whatever becomes of the connection.
#[derive(Debug)]
pub(super) struct State {
    table: Mutex<Table>,
    changes: watch::Sender<Vec<SocketAddr>>,
    /// The address that this node tells of.
    me: Mutex<Option<SocketAddr>>,
    heartbeat: Duration,
}

impl State {
    pub(super) fn new(heartbeat: Duration) -> Self {
        Self { table: Mutex::default(), changes: watch::Sender::new(Vec::new()), me: Mutex::default(), heartbeat }
    }

    /// Sets the address to tell of.
    pub(super) fn register(&self, me: Option<SocketAddr>) {
        *self.me.lock() = me;
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Vec<SocketAddr>> {
        self.changes.subscribe()
    }

    /// The nodes that told of themselves lately.
    pub(super) fn known(&self, now: Tick) -> Vec<SocketAddr> {
        self.change(|table| table.expire(now));
        self.table.lock().addresses()
    }

    pub(super) fn heard_of(&self, at: SocketAddr, now: Tick) {
        self.change(|table| table.add(at, now.after(self.heartbeat * SILENT)));
    }

    /// Changes the table, and tells of it if it is another one then.
    fn change(&self, change: impl FnOnce(&mut Table) -> bool) {
        let mut table = self.table.lock();
        if change(&mut table) {
            self.changes.send_replace(table.addresses());
        }
    }

    /// Takes note of a message; returns what is to be answered to whoever asks.
    fn take(&self, message: &Message, now: Tick) -> Option<Message> {
        if let Some(at) = message.present() {
            self.heard_of(at, now);
        } else if let Some(at) = message.gone() {
            self.change(|table| table.remove(at));
        }
        let me = (message.kind == Kind::Who).then(|| *self.me.lock())??;
        Some(Message::about(Kind::Here, me))
    }

    fn present(&self) -> Option<Message> {
        self.me.lock().map(|me| Message::about(Kind::Here, me))
    }
}

/// Listens, answers and tells of this node now and then, until the connection ends for good.
pub(super) async fn listen(
    client: Client,
    mut heard: Subscriber,
    state: Arc<State>,
    subject: String,
    clock: Arc<dyn Clock>,
) {
    let mut rng = fastrand::Rng::new();
    let mut next = clock.now();
    loop {
        if next <= clock.now() {
            if let Some(message) = state.present() {
                // What cannot be sent now is said again soon.
                let _ = client.publish(subject.clone(), message.encode()).await;
            }
            next = clock.now().after(state.heartbeat.mul_f64(0.75 + rng.f64() / 4.0));
        }
        let message = match until(&clock, Some(next), heard.next()).await {
            Some(Some(message)) => message,
            Some(None) => return,
            None => continue,
        };
        let Some(said) = Message::decode(&message.payload) else { continue };
        let answer = state.take(&said, clock.now());
        if let (Some(answer), Some(to)) = (answer, message.reply) {
            let _ = client.publish(to, answer.encode()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: u8) -> SocketAddr {
        ([10, 0, 0, host], 3322).into()
    }

    #[test]
    fn what_is_heard_is_known_until_it_is_gone_or_silent() {
        let state = State::new(Duration::from_secs(5));
        let mut changes = state.subscribe();
        let now = Tick::from_millis(1_000);
        assert_eq!(state.take(&Message::about(Kind::Here, at(2)), now), None);
        state.heard_of(at(3), now.after(Duration::from_secs(10)));
        assert!(changes.has_changed().unwrap());
        assert_eq!(*changes.borrow_and_update(), [at(2), at(3)]);
        state.heard_of(at(3), now.after(Duration::from_secs(10)));
        assert!(!changes.has_changed().unwrap(), "nothing new");
        assert_eq!(state.known(now.after(Duration::from_secs(15))), [at(3)]);
        assert_eq!(*changes.borrow_and_update(), [at(3)]);
        state.take(&Message::about(Kind::Gone, at(3)), now);
        assert_eq!(*changes.borrow_and_update(), []);
    }

    #[test]
    fn only_who_is_registered_answers() {
        let state = State::new(Duration::from_secs(5));
        let who = Message::request();
        assert_eq!((state.take(&who, Tick::from_millis(0)), state.present()), (None, None));
        state.register(Some(at(1)));
        assert_eq!(state.take(&who, Tick::from_millis(0)), Some(Message::about(Kind::Here, at(1))));
        assert_eq!(state.present(), Some(Message::about(Kind::Here, at(1))));
        state.register(None);
        assert_eq!(state.take(&who, Tick::from_millis(0)), None);
    }
}
