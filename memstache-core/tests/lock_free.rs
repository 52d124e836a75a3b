//! What is lock-free, under every order of events that its atomics allow.
//!
//! The sources themselves are checked: they take their atomics from `crate::sync`, and here those are a model's.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "sources of the library, as a test sees them")]

mod sync {
    pub(crate) use loom::sync::atomic;
}

#[path = "../src/memory/budget.rs"]
mod budget;
#[path = "../src/memory/policy/tiny_lfu/ring.rs"]
mod ring;
#[path = "../src/near/tickets.rs"]
mod tickets;

use std::sync::Arc;

use loom::{
    model::Builder,
    sync::{
        Mutex, RwLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use self::{budget::Budget, ring::Ring, tickets::Tickets};

/// Checks every order of events with at most three switches that no thread asked for.
fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

/// Runs some things at the same time and waits for all.
fn at_once<const N: usize>(things: [Box<dyn FnOnce() + Send>; N]) {
    let running: Vec<_> = things.into_iter().map(thread::spawn).collect();
    running.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_budget_is_never_passed_and_nothing_of_it_is_lost() {
    model(|| {
        let budget = Arc::new(Budget::new(10));
        let held = Arc::new(AtomicUsize::new(0));
        let writer = |bytes: usize| {
            let (budget, held) = (Arc::clone(&budget), Arc::clone(&held));
            Box::new(move || {
                if budget.take(bytes) {
                    let all = held.fetch_add(bytes, SeqCst) + bytes;
                    assert!(all <= 10, "{all} of 10 bytes are held");
                    held.fetch_sub(bytes, SeqCst);
                    budget.give(bytes);
                }
            }) as Box<dyn FnOnce() + Send>
        };
        at_once([writer(6), writer(5)]);
        assert_eq!(budget.used(), 0);
    });
}

/// A near cache's copy, under its lock.
type Copy = Mutex<Option<usize>>;

/// Lets one thread copy the original while another changes it and then does `drop_copy`; the old value must not stay.
fn race(drop_copy: fn(&Tickets, &Copy)) {
    model(move || {
        let original = Arc::new(AtomicUsize::new(1));
        let (tickets, copy) = (Arc::new(Tickets::new()), Arc::new(Copy::new(None)));
        let reader = {
            let (original, tickets, copy) = (Arc::clone(&original), Arc::clone(&tickets), Arc::clone(&copy));
            Box::new(move || {
                let ticket = tickets.take(b"key");
                let seen = original.load(SeqCst);
                let mut copy = copy.lock().unwrap();
                if tickets.stands(&ticket) {
                    *copy = Some(seen);
                }
            })
        };
        let (changed, held) = (Arc::clone(&tickets), Arc::clone(&copy));
        let writer = Box::new(move || {
            original.store(2, SeqCst);
            drop_copy(&changed, &held);
        });
        at_once([reader as Box<dyn FnOnce() + Send>, writer]);
        assert_ne!(*copy.lock().unwrap(), Some(1), "the old value stayed");
    });
}

#[test]
fn a_copy_that_was_overtaken_is_never_left() {
    race(|tickets, copy| {
        tickets.changed(b"key");
        *copy.lock().unwrap() = None;
    });
}

#[test]
fn a_flush_leaves_no_copy_that_was_asked_for_before() {
    race(|tickets, copy| {
        let mut copy = copy.lock().unwrap();
        *copy = None;
        tickets.changed_all();
    });
}

#[test]
fn samples_may_be_lost_but_none_is_made_up() {
    model(|| {
        let ring = Arc::new(RwLock::new(Ring::new()));
        ring.write().unwrap().reserve(2);
        let reader = |print: u32| {
            let ring = Arc::clone(&ring);
            Box::new(move || {
                let ring = ring.read().unwrap();
                ring.push(print);
            }) as Box<dyn FnOnce() + Send>
        };
        at_once([reader(10), reader(20)]);
        let mut ring = ring.write().unwrap();
        let taken: Vec<u32> = std::iter::from_fn(|| ring.pop()).collect();
        assert!(!taken.is_empty() && taken.len() <= 2, "{taken:?}");
        assert!(taken.iter().all(|print| [0, 10, 20].contains(print)), "{taken:?}");
    });
}
