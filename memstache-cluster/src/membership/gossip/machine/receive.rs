//! What happens because a datagram came.

use std::{net::SocketAddr, sync::atomic::Ordering};

use bytes::BufMut as _;
use memstache_core::Tick;

use super::{Machine, Phase};
use crate::{
    member::{Incarnation, NodeId},
    membership::gossip::{
        seal::{Dropped, Opened, Standing},
        wire::{Card, Header, Kind, Prefix, Rival, get_card, get_u64, ids_in, put_card},
    },
};

impl Machine {
    /// Takes a datagram, which is opened in place.
    pub(in super::super) fn on_datagram(&mut self, from: SocketAddr, datagram: &mut [u8], now: Tick) {
        self.look(now);
        if self.phase != Phase::Running {
            return;
        }
        self.stats.received_bytes += datagram.len() as u64;
        let taken = match self.envelope.open(datagram, now) {
            Ok(opened) => {
                let Opened { header, standing, prefix, body } = opened;
                self.take(from, header, standing, prefix, body, now)
            }
            Err(why) => Err(why),
        };
        match taken {
            Ok(()) => self.stats.received += 1,
            Err(why) => self.stats.drop(why),
        }
        self.meet_rival(now);
    }

    fn take(
        &mut self,
        from: SocketAddr,
        header: Header,
        standing: Standing,
        prefix: Prefix,
        body: &[u8],
        now: Tick,
    ) -> Result<(), Dropped> {
        match standing {
            Standing::Known => {}
            Standing::Namesake => {
                self.stats.namesakes += 1;
                self.meet(header.incarnation, Some(from));
                return Ok(());
            }
            Standing::Stale(known) => {
                self.answer_stale(from, header, known, prefix);
                return Err(Dropped::Stale);
            }
        }
        self.hear(prefix, now);
        match header.kind {
            Kind::Knock => self.welcome(from, header, prefix, now),
            Kind::Welcome => self.enter(header, prefix, body, now)?,
            Kind::Stale => self.learn_of_later_life(prefix, body)?,
            Kind::Swim => self.swim(header, body, now)?,
        }
        Ok(())
    }

    /// Somebody tells when it last heard this node: so long ago this node was in touch for certain.
    fn hear(&mut self, prefix: Prefix, now: Tick) {
        let heard = prefix.echo.checked_sub(1).map(Tick::from_millis);
        if let Some(heard) = heard.filter(|heard| prefix.session == self.envelope.session() && *heard <= now) {
            self.contact = self.contact.max(Some(heard));
        }
    }

    fn welcome(&mut self, to: SocketAddr, header: Header, prefix: Prefix, now: Tick) {
        let mut card = Vec::with_capacity(256);
        put_card(self.swim.identity(), &mut card);
        let prefix = Prefix { sent: now.as_millis().saturating_add(1), echo: prefix.sent, session: header.session };
        let datagram = self.envelope.seal_with(Kind::Welcome, prefix, &card);
        self.push(to, datagram);
    }

    /// Somebody answered: its name is known now, and it can be asked who else is there.
    fn enter(&mut self, header: Header, prefix: Prefix, mut body: &[u8], now: Tick) -> Result<(), Dropped> {
        if prefix.session != self.envelope.session() {
            return Err(Dropped::Replayed);
        }
        let card = get_card(&mut body).map_err(|_| Dropped::Malformed)?;
        if !speaks_for(header, &card) || !body.is_empty() {
            return Err(Dropped::Malformed);
        }
        let known = self.swim.iter_members().any(|member| *member.id() == card);
        if !known {
            let announced = self.swim.announce(card, &mut self.effects);
            self.note(&announced);
            self.settle(now);
        }
        Ok(())
    }

    fn answer_stale(&mut self, to: SocketAddr, header: Header, known: Incarnation, prefix: Prefix) {
        let mut body = Vec::with_capacity(32);
        body.put_u64(known.0);
        let later = self.swim.iter_members().map(|member| member.id()).find(|card| card.key.id == header.node);
        // Where the later life is: at the same address it cannot be but a ghost.
        if let Some(card) = later {
            put_card(card, &mut body);
        }
        let prefix = Prefix { sent: 0, echo: prefix.sent, session: header.session };
        let datagram = self.envelope.seal_with(Kind::Stale, prefix, &body);
        self.push(to, datagram);
    }

    /// Another life of this node is known, a later one or (if the clock stood still between two starts) as late a one.
    fn learn_of_later_life(&mut self, prefix: Prefix, mut body: &[u8]) -> Result<(), Dropped> {
        if prefix.session != self.envelope.session() {
            return Err(Dropped::Replayed);
        }
        let incarnation = get_u64(&mut body).map_err(|_| Dropped::Malformed)?;
        let card = if body.is_empty() { None } else { Some(get_card(&mut body).map_err(|_| Dropped::Malformed)?) };
        let dead = card.is_none();
        *self.own.rival.lock() = Some(Rival {
            incarnation: Incarnation(incarnation),
            address: card.map(|card| card.key.gossip),
            // Nobody of that name is there any more.
            dead,
        });
        Ok(())
    }

    fn meet(&mut self, incarnation: Incarnation, address: Option<SocketAddr>) {
        if incarnation > self.me.incarnation {
            *self.own.rival.lock() = Some(Rival { incarnation, address, dead: false });
        }
    }

    fn swim(&mut self, header: Header, body: &[u8], now: Tick) -> Result<(), Dropped> {
        let sender = get_card(&mut &*body).map_err(|_| Dropped::Malformed)?;
        if !speaks_for(header, &sender) {
            return Err(Dropped::Malformed);
        }
        if self.swim.iter_membership_state().len() >= self.max_members && self.would_overfill(body)? {
            self.stats.overfull += 1;
            return Ok(());
        }
        self.own.revision.store(self.swim.identity().key.revision, Ordering::Relaxed);
        let done = self.swim.handle_data(body, &mut self.effects);
        self.settle(now);
        done.map_err(|_| Dropped::Malformed)
    }

    fn would_overfill(&self, body: &[u8]) -> Result<bool, Dropped> {
        let ids = ids_in(body).map_err(|_| Dropped::Malformed)?;
        let known = |id: NodeId| self.swim.iter_membership_state().any(|member| member.id().key.id == id);
        Ok(ids.into_iter().any(|id| id != self.me.id && !known(id)))
    }
}

/// Nobody speaks for others.
fn speaks_for(header: Header, card: &Card) -> bool {
    (card.key.id, card.key.incarnation) == (header.node, header.incarnation)
}
