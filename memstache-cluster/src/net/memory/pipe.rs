//! One way of a connection in memory.

use std::{collections::VecDeque, net::IpAddr, task::Waker};

use bytes::Bytes;
use memstache_core::Tick;

use super::state::Effects;

/// Most bytes that are on their way before a writer has to wait.
const CAPACITY: usize = 256 << 10;

pub(super) struct Pipe {
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    queue: VecDeque<(Tick, Bytes)>,
    buffered: usize,
    last: Tick,
    end: End,
    swallows: bool,
    /// How many of its two ends are held.
    ends: u8,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// The writer closed it; what is on its way still arrives.
    Closed,
    /// Either end is gone.
    Reset,
}

/// What a reader finds.
pub(super) enum Read {
    Some(Bytes),
    /// Not before then.
    Later(Tick),
    Nothing,
    Eof,
    Reset,
}

impl Pipe {
    pub(super) fn new(from: IpAddr, to: IpAddr) -> Self {
        Self {
            from,
            to,
            queue: VecDeque::new(),
            buffered: 0,
            last: Tick::default(),
            end: End::Open,
            swallows: false,
            ends: 2,
            reader: None,
            writer: None,
        }
    }

    pub(super) fn is_between(&self, a: IpAddr, b: IpAddr) -> bool {
        (self.from, self.to) == (a, b) || (self.to, self.from) == (a, b)
    }

    /// Takes as much as there is room for; `None` if the other end is gone, zero if the writer has to wait.
    pub(super) fn write(&mut self, bytes: &[u8], arrives: Tick, effects: &mut Effects) -> Option<usize> {
        if self.end != End::Open {
            return None;
        }
        let len = bytes.len().min(CAPACITY - self.buffered);
        if len > 0 {
            self.last = self.last.max(arrives);
            self.queue.push_back((self.last, Bytes::copy_from_slice(&bytes[..len])));
            self.buffered += len;
            effects.add(&mut self.reader);
        }
        Some(len)
    }

    /// Takes at most `most` bytes that have arrived.
    pub(super) fn read(&mut self, most: usize, now: Tick, effects: &mut Effects) -> Read {
        if self.end == End::Reset {
            return Read::Reset;
        }
        if self.swallows {
            return Read::Nothing;
        }
        match self.queue.front_mut() {
            Some((arrives, _)) if *arrives > now => Read::Later(*arrives),
            Some((_, bytes)) => {
                let taken = bytes.split_to(most.min(bytes.len()));
                if bytes.is_empty() {
                    self.queue.pop_front();
                }
                self.buffered -= taken.len();
                effects.add(&mut self.writer);
                Read::Some(taken)
            }
            None if self.end == End::Closed => Read::Eof,
            None => Read::Nothing,
        }
    }

    pub(super) fn close(&mut self, effects: &mut Effects) {
        if self.end == End::Open {
            self.end = End::Closed;
            effects.add(&mut self.reader);
        }
    }

    pub(super) fn reset(&mut self, effects: &mut Effects) {
        self.end = End::Reset;
        self.queue.clear();
        self.buffered = 0;
        effects.add(&mut self.reader);
        effects.add(&mut self.writer);
    }

    /// Takes note that an end is gone; returns whether that was the last.
    pub(super) fn drop_end(&mut self) -> bool {
        self.ends -= 1;
        self.ends == 0
    }

    /// Nothing that was or will be written ever arrives, not even the end.
    pub(super) fn swallow(&mut self) {
        self.swallows = true;
    }

    pub(super) fn swallows(&self) -> bool {
        self.swallows
    }
}
