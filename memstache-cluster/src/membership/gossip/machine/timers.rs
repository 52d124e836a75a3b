//! What foca wants to be reminded of.

use std::{collections::BTreeMap, time::Duration};

use foca::Timer;
use memstache_core::Tick;

use crate::{member::NodeId, membership::gossip::wire::Card};

/// The pending timers: one of each kind, and at most two for each member. So however fast members flap, they stay few.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// Of those that are started anew by themselves, a later one takes the place of an earlier.
    single: [Option<(Tick, Timer<Card>)>; 5],
    suspects: BTreeMap<NodeId, (Tick, Timer<Card>)>,
    dead: BTreeMap<NodeId, (Tick, Card)>,
}

impl Timers {
    pub(super) fn add(&mut self, at: Tick, timer: Timer<Card>) {
        let place = match &timer {
            Timer::SendIndirectProbe { .. } => 0,
            Timer::ProbeRandomMember(_) => 1,
            Timer::PeriodicAnnounce(_) => 2,
            Timer::PeriodicGossip(_) => 3,
            Timer::PeriodicAnnounceDown(_) => 4,
            Timer::ChangeSuspectToDown { member_id, .. } => {
                let id = member_id.key.id;
                // Who is suspected again while suspect gets no more time by it.
                if self.suspects.get(&id).is_none_or(|(_, pending)| *pending != timer) {
                    self.suspects.insert(id, (at, timer));
                }
                return;
            }
            Timer::RemoveDown(card) => {
                self.dead.insert(card.key.id, (at, card.clone()));
                return;
            }
        };
        self.single[place] = Some((at, timer));
    }

    /// When the next is due. The dead are not waited for: they are looked at with the others.
    pub(super) fn next(&self) -> Option<Tick> {
        let single = self.single.iter().flatten().map(|(at, _)| *at);
        single.chain(self.suspects.values().map(|(at, _)| *at)).min()
    }

    /// Takes the one that is due first. Of two at once the indirect probe comes before the next round of probes.
    pub(super) fn pop(&mut self, now: Tick) -> Option<Timer<Card>> {
        let single = self.single.iter().enumerate().filter_map(|(place, it)| it.as_ref().map(|(at, _)| (*at, place)));
        let single = single.min().filter(|(at, _)| *at <= now);
        let suspect = self.suspects.iter().map(|(id, (at, _))| (*at, *id)).min().filter(|(at, _)| *at <= now);
        if let Some((_, id)) = suspect.filter(|(at, _)| single.is_none_or(|(other, _)| *at < other)) {
            return self.suspects.remove(&id).map(|(_, timer)| timer);
        }
        if let Some((_, place)) = single {
            return self.single[place].take().map(|(_, timer)| timer);
        }
        let id = self.dead.iter().find(|(_, (at, _))| *at <= now).map(|(id, _)| *id)?;
        self.dead.remove(&id).map(|(_, card)| Timer::RemoveDown(card))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.single.iter().flatten().count() + self.suspects.len() + self.dead.len()
    }

    /// Puts everything off.
    pub(super) fn put_off(&mut self, by: Duration) {
        let single = self.single.iter_mut().flatten().map(|(at, _)| at);
        for at in single.chain(self.suspects.values_mut().map(|(at, _)| at)) {
            *at = at.after(by);
        }
    }
}
