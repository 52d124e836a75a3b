//! The calls of a connection that wait for their answers.

use std::task::Waker;

use memstache_core::{Error, Tick};

use crate::wire::Frame;

/// Where a call waits; on the wire it is the request's id.
///
/// A place is used again and again, its round is another each time: an answer that comes too late finds nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotId {
    place: u32,
    round: u32,
}

impl SlotId {
    pub(super) fn as_request_id(self) -> u64 {
        u64::from(self.round) << 32 | u64::from(self.place)
    }

    pub(super) fn of_request_id(id: u64) -> Self {
        Self { place: (id & 0xffff_ffff) as u32, round: (id >> 32) as u32 }
    }
}

/// How a call ended.
pub(super) type Outcome = Result<Frame, Error>;

#[derive(Debug)]
enum State {
    /// The next free place.
    Free(Option<u32>),
    Waiting {
        deadline: Tick,
        waker: Option<Waker>,
    },
    Done(Outcome),
}

#[derive(Debug)]
struct Slot {
    round: u32,
    state: State,
}

/// A slab of calls.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Option<u32>,
    used: usize,
    waiting: usize,
}

impl Slots {
    /// Returns how many calls wait for an answer.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns how many places are taken: by calls that wait, and by those that are answered and have not been told.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn insert(&mut self, deadline: Tick) -> SlotId {
        self.used += 1;
        self.waiting += 1;
        let state = State::Waiting { deadline, waker: None };
        if let Some(place) = self.free {
            let slot = &mut self.slots[place as usize];
            let State::Free(next) = slot.state else { unreachable!("the free places are linked") };
            self.free = next;
            slot.state = state;
            return SlotId { place, round: slot.round };
        }
        let place = u32::try_from(self.slots.len()).expect("calls under way are limited");
        self.slots.push(Slot { round: 0, state });
        SlotId { place, round: 0 }
    }

    /// Asks how a call ended; if it did not, `waker` is called when it does.
    pub(super) fn poll(&mut self, id: SlotId, waker: &Waker) -> Option<Outcome> {
        let slot = self.slots.get_mut(id.place as usize).filter(|slot| slot.round == id.round)?;
        match &mut slot.state {
            State::Waiting { waker: place, .. } => {
                if !place.as_ref().is_some_and(|known| known.will_wake(waker)) {
                    *place = Some(waker.clone());
                }
                None
            }
            State::Done(_) => self.release(id),
            State::Free(_) => None,
        }
    }

    /// Ends a call, unless it has ended. Returns whom to wake, or `None` if there is no such call.
    pub(super) fn complete(&mut self, id: SlotId, outcome: Outcome) -> Option<Option<Waker>> {
        let slot = self.slots.get_mut(id.place as usize).filter(|slot| slot.round == id.round)?;
        let State::Waiting { waker, .. } = &mut slot.state else { return None };
        let waker = waker.take();
        slot.state = State::Done(outcome);
        self.waiting -= 1;
        Some(waker)
    }

    /// Gives a place back, and returns how its call ended, if it did.
    pub(super) fn release(&mut self, id: SlotId) -> Option<Outcome> {
        let slot = self.slots.get_mut(id.place as usize).filter(|slot| slot.round == id.round)?;
        if matches!(slot.state, State::Free(_)) {
            return None;
        }
        let state = std::mem::replace(&mut slot.state, State::Free(self.free));
        slot.round = slot.round.wrapping_add(1);
        self.free = Some(id.place);
        self.used -= 1;
        match state {
            State::Done(outcome) => Some(outcome),
            _ => {
                self.waiting -= 1;
                None
            }
        }
    }

    /// Ends every call that waits and whose deadline has passed, and returns when the next one ends.
    pub(super) fn expire(&mut self, now: Tick, error: &Error, expired: &mut Vec<(SlotId, Waker)>) -> Tick {
        self.end_all(|deadline| deadline <= now, error, expired)
    }

    /// Ends every call that waits.
    pub(super) fn fail_all(&mut self, error: &Error, woken: &mut Vec<(SlotId, Waker)>) {
        self.end_all(|_| true, error, woken);
    }

    fn end_all(&mut self, ends: impl Fn(Tick) -> bool, error: &Error, ended: &mut Vec<(SlotId, Waker)>) -> Tick {
        let mut next = Tick::NEVER;
        if self.waiting == 0 {
            return next;
        }
        for (place, slot) in (0u32..).zip(&mut self.slots) {
            let State::Waiting { deadline, waker } = &mut slot.state else { continue };
            if !ends(*deadline) {
                next = next.min(*deadline);
                continue;
            }
            let id = SlotId { place, round: slot.round };
            ended.push((id, waker.take().unwrap_or_else(|| Waker::noop().clone())));
            slot.state = State::Done(Err(error.clone()));
            self.waiting -= 1;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use memstache_core::ErrorKind;

    use super::*;
    use crate::wire::{Header, Kind};

    fn frame(id: SlotId) -> Frame {
        Frame { header: Header::new(Kind::Answer, id.as_request_id()), body: Bytes::new() }
    }

    #[test]
    fn an_answer_finds_its_call_once_and_no_other() {
        let mut slots = Slots::default();
        let (a, b) = (slots.insert(Tick::NEVER), slots.insert(Tick::NEVER));
        assert_ne!(a.as_request_id(), b.as_request_id());
        assert_eq!(SlotId::of_request_id(b.as_request_id()), b);
        assert!(slots.poll(a, Waker::noop()).is_none());
        assert!(slots.complete(a, Ok(frame(a))).is_some_and(|waker| waker.is_some()));
        assert!(slots.complete(a, Ok(frame(a))).is_none(), "answered twice");
        assert_eq!((slots.waiting(), slots.used()), (1, 2));
        assert!(slots.poll(a, Waker::noop()).unwrap().is_ok());
        assert!(slots.poll(a, Waker::noop()).is_none() && slots.release(a).is_none());
        let c = slots.insert(Tick::NEVER);
        assert!(c.place == a.place && c != a, "the place is used again");
        assert!(slots.complete(a, Ok(frame(a))).is_none(), "a late answer");
        assert!(slots.release(b).is_none() && slots.release(c).is_none());
        assert_eq!((slots.waiting(), slots.used()), (0, 0));
        assert!(slots.complete(SlotId::of_request_id(77), Ok(frame(a))).is_none(), "no such place");
    }

    #[test]
    fn calls_end_at_their_deadlines() {
        let (mut slots, mut ended) = (Slots::default(), Vec::new());
        let late = Error::new(ErrorKind::Timeout, "late");
        let [a, b] = [5, 9].map(|millis| slots.insert(Tick::from_millis(millis)));
        assert_eq!(slots.expire(Tick::from_millis(4), &late, &mut ended), Tick::from_millis(5));
        assert_eq!(slots.expire(Tick::from_millis(5), &late, &mut ended), Tick::from_millis(9));
        assert_eq!(ended.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [a]);
        assert_eq!(slots.poll(a, Waker::noop()).unwrap().unwrap_err().kind(), ErrorKind::Timeout);
        slots.fail_all(&late, &mut ended);
        assert!(slots.poll(b, Waker::noop()).unwrap().is_err());
        assert_eq!(slots.expire(Tick::NEVER, &late, &mut ended), Tick::NEVER);
        assert_eq!(slots.used(), 0);
    }
}
