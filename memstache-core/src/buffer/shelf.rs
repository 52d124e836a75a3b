//! Where idle buffers lie, by size.

use std::{
    hint::black_box,
    mem,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use parking_lot::Mutex;

/// The smallest class: 1 KiB.
const SMALLEST: u32 = 10;
/// The largest class: 16 MiB.
const LARGEST: u32 = 24;
const CLASSES: usize = (LARGEST - SMALLEST + 1) as usize;
/// How many classes above the one asked for may serve.
const REACH: usize = 2;
/// By which part of the difference what is typical sinks to a smaller one.
const SINK: usize = 32;
/// How often a full pool spares the buffers of a size that nobody asks for.
const SPARED: u32 = 64;
/// What is called typical at most, so that one huge value does not make every next buffer huge.
const MOST_TYPICAL: usize = 1 << 20;

pub(super) const DEFAULT_MAX_BYTES: usize = 16 << 20;

/// What a pool has done since it was built, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BufferPoolStats {
    /// Buffers given out.
    pub rented: u64,
    /// Of these, buffers that had been used before.
    pub reused: u64,
    /// Buffers that were freed: too small, too large, or idle of a size that is not asked for while the pool was full.
    pub freed: u64,
    /// Buffers given out that have not come back.
    pub outstanding: u64,
    /// Buffers that lie idle.
    pub idle: u64,
    /// The bytes of the idle buffers.
    pub idle_bytes: u64,
}

pub(super) struct Shelf {
    /// The last is for what is larger than any class, and holds nothing.
    classes: [Mutex<Class>; CLASSES + 1],
    max_bytes: usize,
    clear: bool,
    idle_bytes: AtomicUsize,
    typical: AtomicUsize,
}

/// Idle buffers of one size, with counts: the lock is taken anyway.
#[derive(Default)]
struct Class {
    idle: Vec<Vec<u8>>,
    /// How often room was looked for here since one of them was last asked for.
    spared: u32,
    rented: u64,
    reused: u64,
    returned: u64,
    freed: u64,
}

impl Class {
    fn is_spared(&mut self) -> bool {
        self.spared = self.spared.saturating_add(1);
        self.spared <= SPARED
    }
}

impl Default for Shelf {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_BYTES, false)
    }
}

impl Shelf {
    pub(super) fn new(max_bytes: usize, clear: bool) -> Self {
        Self {
            classes: Default::default(),
            max_bytes,
            clear,
            idle_bytes: AtomicUsize::new(0),
            typical: AtomicUsize::new(0),
        }
    }

    /// Takes an idle buffer that has the room and not much more, or makes one.
    pub(super) fn take(&self, room: usize) -> Vec<u8> {
        let first = class_for(room);
        for at in first..(first + 1 + REACH).min(CLASSES) {
            let mut class = self.classes[at].lock();
            let Some(buffer) = class.idle.pop() else { continue };
            class.spared = 0;
            class.rented += 1;
            class.reused += 1;
            drop(class);
            self.idle_bytes.fetch_sub(buffer.capacity(), Relaxed);
            return buffer;
        }
        let mut class = self.classes[first].lock();
        class.spared = 0;
        class.rented += 1;
        drop(class);
        Vec::with_capacity(if first < CLASSES { 1 << (SMALLEST as usize + first) } else { room })
    }

    pub(super) fn put(&self, mut buffer: Vec<u8>) {
        if self.clear {
            wipe(&mut buffer);
        }
        buffer.clear();
        let capacity = buffer.capacity();
        let class = class_of(capacity);
        let kept = class.is_some_and(|class| self.reserve(class, capacity));
        let mut class = self.classes[class.unwrap_or(CLASSES)].lock();
        class.returned += 1;
        if kept {
            class.idle.push(buffer);
            return;
        }
        class.freed += 1;
        // Freed when nobody waits for the lock.
        drop(class);
        drop(buffer);
    }

    /// Books room for a buffer of a class, for which idle ones of other classes may have to go.
    fn reserve(&self, class: usize, bytes: usize) -> bool {
        self.book(bytes) || bytes <= self.max_bytes && self.make_room(class, bytes) && self.book(bytes)
    }

    fn book(&self, bytes: usize) -> bool {
        let kept = self.idle_bytes.fetch_add(bytes, Relaxed) + bytes <= self.max_bytes;
        if !kept {
            self.idle_bytes.fetch_sub(bytes, Relaxed);
        }
        kept
    }

    /// Frees idle buffers of classes that serve nobody, the largest first, and says whether there is room now.
    ///
    /// A class is spared until room was looked for [`SPARED`] times and none of its buffers asked for meanwhile. So sizes
    /// that are in use do not push each other out, and those of yesterday do not stay for ever.
    #[cold]
    fn make_room(&self, own: usize, bytes: usize) -> bool {
        let has_room = || self.idle_bytes.load(Relaxed) + bytes <= self.max_bytes;
        for (_, class) in self.classes.iter().enumerate().rev().filter(|(at, _)| *at != own) {
            if class.lock().is_spared() {
                continue;
            }
            while !has_room() {
                let mut class = class.lock();
                let Some(buffer) = class.idle.pop() else { break };
                class.freed += 1;
                drop(class);
                self.idle_bytes.fetch_sub(buffer.capacity(), Relaxed);
            }
            if has_room() {
                return true;
            }
        }
        has_room()
    }

    /// Rises to a larger length at once, and sinks slowly.
    pub(super) fn learn(&self, len: usize) {
        let (len, typical) = (len.min(MOST_TYPICAL), self.typical.load(Relaxed));
        let next = if len >= typical { len } else { typical - (typical - len) / SINK };
        if next != typical {
            self.typical.store(next, Relaxed);
        }
    }

    pub(super) fn typical(&self) -> usize {
        self.typical.load(Relaxed)
    }

    pub(super) fn empty(&self) {
        for class in &self.classes {
            let idle = mem::take(&mut class.lock().idle);
            self.idle_bytes.fetch_sub(idle.iter().map(Vec::capacity).sum(), Relaxed);
        }
    }

    pub(super) fn stats(&self) -> BufferPoolStats {
        let mut stats = BufferPoolStats { idle_bytes: self.idle_bytes.load(Relaxed) as u64, ..Default::default() };
        let mut returned = 0;
        for class in &self.classes {
            let class = class.lock();
            stats.rented += class.rented;
            stats.reused += class.reused;
            stats.freed += class.freed;
            stats.idle += class.idle.len() as u64;
            returned += class.returned;
        }
        stats.outstanding = stats.rented.saturating_sub(returned);
        stats
    }
}

/// The class whose buffers all have the room; the one beyond if none has.
fn class_for(room: usize) -> usize {
    let room = room.max(1 << SMALLEST);
    ((usize::BITS - (room - 1).leading_zeros()).saturating_sub(SMALLEST) as usize).min(CLASSES)
}

/// The class that a buffer lies in: all in it have at least its size.
fn class_of(capacity: usize) -> Option<usize> {
    let class = capacity.checked_ilog2()?.checked_sub(SMALLEST)? as usize;
    // One far above the largest class would be worth more than its class says.
    (class < CLASSES).then_some(class)
}

/// Overwrites the whole buffer, also what it held before it was cut short.
fn wipe(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(buffer.capacity(), 0);
    // Observed, so that it is not optimised away before a buffer is freed.
    black_box(buffer.as_slice());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_of_a_class_has_the_room_that_the_class_serves() {
        for room in [0, 1, 1023, 1024, 1025, 4096, 5000, 65_536, 1 << 24] {
            let class = class_for(room);
            assert!(1usize << (SMALLEST as usize + class) >= room, "{room}");
            assert_eq!(class_of(1 << (SMALLEST as usize + class)), Some(class), "{room}");
        }
        assert_eq!(class_for((1 << 24) + 1), CLASSES, "served by no class");
        assert_eq!((class_of(0), class_of(1023), class_of(1 << 25)), (None, None, None));
        assert_eq!(class_of(2047), Some(0));
    }
}
