//! What happens because time passes.

use memstache_core::Tick;

use super::{Machine, Phase, Wish};
use crate::membership::gossip::{
    parameters::{
        DEAD_FANOUT, FAREWELL_PERIOD, KNOCKS, LONELY_DISCOVERY, LONELY_PERIOD, MAX_BODY, PAUSE, SEED_PERIOD, SYNC_FROM,
        SYNC_PERIOD,
    },
    wire::{Kind, PREFIX},
};

/// As long as the longest answer, so that nobody gets more sent to somebody else than he sends himself.
const KNOCK: [u8; 400] = [0; 400];
const _: () = assert!(KNOCK.len() + PREFIX < MAX_BODY);

impl Machine {
    /// Does what is due.
    pub(in super::super) fn on_time(&mut self, now: Tick) {
        self.look(now);
        match self.phase {
            Phase::Running => self.run_timers(now),
            Phase::Leaving(left, next) if next <= now => self.say_farewell(left, now),
            Phase::Leaving(..) | Phase::Left | Phase::Replaced => {}
        }
    }

    /// Notices whether this process was paused since it last looked at the time.
    pub(super) fn look(&mut self, now: Tick) {
        let away = now.since(self.looked);
        self.looked = self.looked.max(now);
        if away > PAUSE {
            self.stats.pauses += 1;
            self.timers.put_off(away);
        }
    }

    fn run_timers(&mut self, now: Tick) {
        while let Some(timer) = self.timers.pop(now) {
            let done = self.swim.handle_timer(timer, &mut self.effects);
            self.note(&done);
            self.settle(now);
        }
        if self.next_knock <= now {
            self.knock(now);
        }
        if self.next_discovery <= now {
            let period = if self.swim.num_members() == 0 { LONELY_DISCOVERY } else { SEED_PERIOD };
            self.next_discovery = now.after(self.jittered(period));
            self.wish(Wish::Discover);
        }
        if self.next_sync <= now {
            self.next_sync = now.after(self.jittered(SYNC_PERIOD));
            self.sync_with_any();
        }
    }

    /// Asks at addresses behind which nobody is known, and at those of the dead if nobody else is left.
    fn knock(&mut self, now: Tick) {
        let lonely = self.swim.num_members() == 0;
        let period = if lonely { LONELY_PERIOD } else { SEED_PERIOD };
        self.next_knock = now.after(self.jittered(period));
        let known = |at| self.swim.iter_members().any(|member| member.id().key.gossip == at);
        let at_home = |at| at == self.me.gossip;
        let (mut doors, mut earlier) = self.seeds.doors();
        for (doors, most) in [(&mut doors, KNOCKS), (&mut earlier, DEAD_FANOUT)] {
            doors.retain(|at| !at_home(*at) && !known(*at));
            self.rng.shuffle(doors);
            doors.truncate(most);
        }
        doors.append(&mut earlier);
        if lonely {
            let mut dead: Vec<_> = self.swim.iter_membership_state().map(|member| member.id().key.gossip).collect();
            dead.retain(|at| !doors.contains(at) && !at_home(*at));
            self.rng.shuffle(&mut dead);
            doors.extend(dead.into_iter().take(DEAD_FANOUT));
        }
        for door in doors {
            self.send(Kind::Knock, door, None, &KNOCK, now);
        }
    }

    /// Compares lists with any member.
    fn sync_with_any(&mut self) {
        if self.synced && self.swim.num_members() < SYNC_FROM || self.swim.num_members() == 0 {
            return;
        }
        self.synced = true;
        let any = self.rng.usize(..self.swim.num_members());
        let any = self.swim.iter_members().nth(any).and_then(|member| member.id().to_member());
        if let Some(member) = any {
            self.wish(Wish::Exchange(member));
        }
    }

    /// Wishes that nobody took yet are not wished twice.
    fn wish(&mut self, wish: Wish) {
        if !self.wishes.contains(&wish) && self.wishes.len() < KNOCKS {
            self.wishes.push_back(wish);
        }
    }

    fn say_farewell(&mut self, left: u8, now: Tick) {
        let said = self.swim.gossip(&mut self.effects);
        self.note(&said);
        self.settle(now);
        self.phase = match left.checked_sub(1) {
            Some(0) | None => Phase::Left,
            Some(left) => Phase::Leaving(left, now.after(FAREWELL_PERIOD)),
        };
    }
}
