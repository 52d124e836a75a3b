//! What foca asks for while it works.

use std::time::Duration;

use foca::{Notification, Runtime, Timer};

use crate::membership::gossip::wire::Card;

/// Gathers what foca asks for, to be done once it has returned.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) sends: Vec<(Card, Vec<u8>)>,
    pub(super) timers: Vec<(Timer<Card>, Duration)>,
    /// The list of members is another.
    pub(super) changed: bool,
    /// Nobody else is left.
    pub(super) lonely: bool,
    /// This node was taken for dead and came back.
    pub(super) rejoined: u64,
    /// Others that were declared dead.
    pub(super) lost: u64,
}

impl Runtime<Card> for &mut Effects {
    fn notify(&mut self, notification: Notification<'_, Card>) {
        match notification {
            Notification::MemberDown(_) => {
                self.lost += 1;
                self.changed = true;
            }
            Notification::MemberUp(_) | Notification::Rename(..) => self.changed = true,
            Notification::Idle => self.lonely = true,
            Notification::Rejoin(_) => {
                self.rejoined += 1;
                self.changed = true;
            }
            Notification::Active | Notification::Defunct => {}
        }
    }

    fn send_to(&mut self, to: Card, data: &[u8]) {
        self.sends.push((to, data.to_vec()));
    }

    fn submit_after(&mut self, event: Timer<Card>, after: Duration) {
        self.timers.push((event, after));
    }
}
