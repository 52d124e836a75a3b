//! What this node says of itself, and what it does when others know better.

use std::sync::atomic::Ordering;

use memstache_core::Tick;

use super::{Machine, Phase};
use crate::{
    member::{Incarnation, MemberState},
    membership::gossip::{
        parameters::{FAREWELL_PERIOD, FAREWELLS, YOUNG},
        wire::{Card, Rival},
    },
};

impl Machine {
    /// Says that this node is in another state now.
    pub(in super::super) fn set_state(&mut self, state: MemberState, now: Tick) {
        if self.me.state != state && self.phase == Phase::Running {
            self.me.state = state;
            let revision = self.swim.identity().key.revision.saturating_add(1);
            self.present(revision, now);
        }
    }

    /// Says farewell.
    pub(in super::super) fn leave(&mut self, now: Tick) {
        if self.phase == Phase::Running {
            // What is left to say is said by datagrams that may be lost; nothing else could be done about an error.
            let _ = self.swim.leave_cluster(&mut self.effects);
            self.phase = Phase::Leaving(FAREWELLS - 1, now.after(FAREWELL_PERIOD));
            self.settle(now);
        }
    }

    /// Describes this node anew.
    fn present(&mut self, revision: u32, now: Tick) {
        let changed = self.swim.change_identity(Card::of(&self.me, revision), &mut self.effects);
        self.note(&changed);
        self.go_on();
        self.effects.changed = true;
        self.settle(now);
    }

    /// After a change of identity foca waits for the next datagram before it goes on; but the members did not go anywhere.
    pub(super) fn go_on(&mut self) {
        let connected = self.swim.apply_many(std::iter::empty(), false, &mut self.effects);
        self.note(&connected);
    }

    /// Deals with a later life of this node, if one was told of.
    pub(super) fn meet_rival(&mut self, now: Tick) {
        let rival = self.own.rival.lock().take();
        if let Some(rival) = rival.filter(|rival| rival.incarnation >= self.me.incarnation) {
            self.contend(rival, now);
        }
    }

    /// A clock that was put back made this life look earlier than the one before, or somebody else took the name.
    fn contend(&mut self, rival: Rival, now: Tick) {
        let ghost = rival.dead || rival.address == Some(self.me.gossip);
        let young = now.since(self.started) < YOUNG;
        match rival.incarnation.0.checked_add(1).filter(|_| ghost || young) {
            Some(above) => {
                self.me.incarnation = Incarnation(above);
                self.own.incarnation.store(above, Ordering::Relaxed);
                self.envelope.renew(self.me.incarnation, self.rng.u64(..));
                self.present(0, now);
            }
            None => {
                self.phase = Phase::Replaced;
                self.settles = Some(now);
                self.out.clear();
            }
        }
    }
}
