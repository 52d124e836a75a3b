//! Where idle buffers lie, by size.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
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

pub(super) const DEFAULT_MAX_BYTES: usize = 16 << 20;

/// What a pool has done since it was built, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BufferPoolStats {
    /// Buffers given out.
    pub rented: u64,
    /// Of these, buffers that had been used before.
    pub reused: u64,
    /// Buffers that came back and were freed: too small, too large, or the pool was full.
    pub freed: u64,
    /// Buffers given out that have not come back.
    pub outstanding: u64,
    /// Buffers that lie idle.
    pub idle: u64,
    /// The bytes of the idle buffers.
    pub idle_bytes: u64,
}

pub(super) struct Shelf {
    classes: [Mutex<Vec<Vec<u8>>>; CLASSES],
    max_bytes: usize,
    clear: bool,
    idle_bytes: AtomicUsize,
    typical: AtomicUsize,
    rented: AtomicU64,
    reused: AtomicU64,
    returned: AtomicU64,
    freed: AtomicU64,
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
            rented: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            returned: AtomicU64::new(0),
            freed: AtomicU64::new(0),
        }
    }

    /// Takes an idle buffer that has the room and not much more, or makes one.
    pub(super) fn take(&self, room: usize) -> Vec<u8> {
        self.rented.fetch_add(1, Relaxed);
        let class = class_for(room);
        for class in self.classes.iter().skip(class).take(1 + REACH) {
            let Some(buffer) = class.lock().pop() else { continue };
            self.idle_bytes.fetch_sub(buffer.capacity(), Relaxed);
            self.reused.fetch_add(1, Relaxed);
            return buffer;
        }
        Vec::with_capacity(if class < CLASSES { 1 << (SMALLEST as usize + class) } else { room })
    }

    pub(super) fn put(&self, mut buffer: Vec<u8>) {
        if self.clear {
            wipe(&mut buffer);
        }
        buffer.clear();
        let capacity = buffer.capacity();
        if let Some(class) = class_of(capacity) {
            let held = self.idle_bytes.fetch_add(capacity, Relaxed);
            if held.saturating_add(capacity) <= self.max_bytes {
                let mut class = self.classes[class].lock();
                class.push(buffer);
                drop(class);
                self.returned.fetch_add(1, Relaxed);
                return;
            }
            self.idle_bytes.fetch_sub(capacity, Relaxed);
        }
        self.freed.fetch_add(1, Relaxed);
        self.returned.fetch_add(1, Relaxed);
    }

    /// Rises to a larger length at once, and sinks slowly.
    pub(super) fn learn(&self, len: usize) {
        let typical = self.typical.load(Relaxed);
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
            for buffer in std::mem::take(&mut *class.lock()) {
                self.idle_bytes.fetch_sub(buffer.capacity(), Relaxed);
            }
        }
    }

    pub(super) fn stats(&self) -> BufferPoolStats {
        let idle = self.classes.iter().map(|class| class.lock().len() as u64).sum();
        let (returned, rented) = (self.returned.load(Relaxed), self.rented.load(Relaxed));
        BufferPoolStats {
            rented,
            reused: self.reused.load(Relaxed),
            freed: self.freed.load(Relaxed),
            outstanding: rented.saturating_sub(returned),
            idle,
            idle_bytes: self.idle_bytes.load(Relaxed) as u64,
        }
    }
}

/// The class whose buffers all have the room; beyond the last if none has.
fn class_for(room: usize) -> usize {
    let room = room.max(1 << SMALLEST);
    (usize::BITS - (room - 1).leading_zeros()).saturating_sub(SMALLEST) as usize
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
