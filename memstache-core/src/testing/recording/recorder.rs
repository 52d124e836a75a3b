//! What passed a stack, asked from outside.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
};

use parking_lot::Mutex;
use tower_layer::Layer;

use super::{Call, Ending, Outcome, Recording};
use crate::{
    error::Result,
    request::{Request, Response},
    testing::Gate,
};

/// The handle by which a test asks what passed its [`Recording`] stacks, and the layer that makes them.
///
/// Clones are the same handle. Counts are exact; of the calls themselves the latest are kept.
///
/// ```
/// use memstache_core::testing::{ManualClock, NaiveStore, Outcome, Recorder};
/// use memstache_core::{Address, ErasedService, Get, KeyspaceName, Space};
/// use tower_layer::Layer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> memstache_core::Result<()> {
/// let recorder = Recorder::new();
/// let service = ErasedService::new(recorder.layer(NaiveStore::new(ManualClock::new()).service()));
/// let key = Address::plain(&Space::new(None, &KeyspaceName::new("drinks")?), "tea")?;
///
/// let gate = recorder.hold(|request| request.name() == "get");
/// let call = tokio::spawn(service.dispatch(Get::one(key)));
/// gate.arrived(1).await; // Here the test does what must happen before the read reaches the store.
/// gate.open();
/// call.await.unwrap()?;
/// recorder.assert_calls("get", 1);
/// assert_eq!(recorder.outcomes(Outcome::Miss), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Recorder(Arc<Mutex<Log>>);

struct Log {
    capacity: usize,
    calls: VecDeque<Call>,
    /// Calls and items that arrived, by operation.
    arrived: HashMap<&'static str, (usize, usize)>,
    outcomes: HashMap<Outcome, usize>,
    gates: Vec<(Arc<dyn Fn(&Request) -> bool + Send + Sync>, Gate)>,
}

impl Recorder {
    /// Creates a recorder that keeps the latest 1,024 calls.
    pub fn new() -> Self {
        Self::with_capacity(1024)
    }

    /// Creates a recorder that keeps the latest so many calls.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Log {
            capacity,
            calls: VecDeque::new(),
            arrived: HashMap::new(),
            outcomes: HashMap::new(),
            gates: Vec::new(),
        })))
    }

    /// Holds every call that matches before it reaches the inner stack, until the gate is opened.
    pub fn hold(&self, matches: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Gate {
        let gate = Gate::new();
        self.0.lock().gates.push((Arc::new(matches), gate.clone()));
        gate
    }

    /// Returns the latest calls that have ended, the oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.0.lock().calls.iter().cloned().collect()
    }

    /// Returns how many calls of an operation arrived, those still under way included.
    pub fn count(&self, operation: &str) -> usize {
        self.0.lock().arrived.get(operation).map_or(0, |arrived| arrived.0)
    }

    /// Returns how many items the calls of an operation had.
    pub fn items(&self, operation: &str) -> usize {
        self.0.lock().arrived.get(operation).map_or(0, |arrived| arrived.1)
    }

    /// Returns how many calls arrived.
    pub fn total(&self) -> usize {
        self.0.lock().arrived.values().map(|arrived| arrived.0).sum()
    }

    /// Returns how many items were answered so.
    pub fn outcomes(&self, outcome: Outcome) -> usize {
        self.0.lock().outcomes.get(&outcome).copied().unwrap_or_default()
    }

    /// Forgets what passed so far; gates stay.
    pub fn clear(&self) {
        let mut log = self.0.lock();
        log.calls.clear();
        log.arrived.clear();
        log.outcomes.clear();
    }

    /// Asserts how many calls of an operation arrived.
    ///
    /// # Panics
    /// Panics with the latest calls if it were more or fewer.
    #[track_caller]
    pub fn assert_calls(&self, operation: &str, expected: usize) {
        let calls = self.calls();
        assert_eq!(self.count(operation), expected, "calls of {operation}; the latest that ended: {calls:?}");
    }

    /// Asserts how many items the calls of an operation had.
    ///
    /// # Panics
    /// Panics with the latest calls if it were more or fewer.
    #[track_caller]
    pub fn assert_items(&self, operation: &str, expected: usize) {
        let calls = self.calls();
        assert_eq!(self.items(operation), expected, "items of {operation}; the latest that ended: {calls:?}");
    }

    /// Asserts that nothing has arrived since the recorder was made or cleared.
    ///
    /// # Panics
    /// Panics with the latest calls if anything has.
    #[track_caller]
    pub fn assert_quiet(&self) {
        let calls = self.calls();
        assert_eq!(self.total(), 0, "calls; the latest that ended: {calls:?}");
    }

    /// Notes a call that arrives; returns by which gates it must pass.
    pub(super) fn arrive(&self, request: &Request) -> (Open, Vec<Gate>) {
        let (operation, items) = (request.name(), request.len());
        let mut log = self.0.lock();
        let arrived = log.arrived.entry(operation).or_default();
        *arrived = (arrived.0 + 1, arrived.1 + items);
        let gates = log.gates.clone();
        // The closures are the test's own and may ask the recorder.
        drop(log);
        let gates = gates.into_iter().filter(|(matches, _)| matches(request)).map(|(_, gate)| gate).collect();
        (Open { recorder: self.clone(), call: Some(Call { operation, items, ending: Ending::Dropped }) }, gates)
    }

    fn note(&self, call: Call) {
        let mut log = self.0.lock();
        if let Ending::Answered(outcomes) = &call.ending {
            for outcome in outcomes {
                *log.outcomes.entry(*outcome).or_default() += 1;
            }
        }
        if log.calls.len() == log.capacity {
            log.calls.pop_front();
        }
        if log.capacity > 0 {
            log.calls.push_back(call);
        }
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("arrived", &self.0.lock().arrived).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for Recorder {
    type Service = Recording<S>;

    fn layer(&self, inner: S) -> Recording<S> {
        Recording::new(inner, self.clone())
    }
}

/// A call under way; noted as dropped unless it ends.
pub(super) struct Open {
    recorder: Recorder,
    call: Option<Call>,
}

impl Open {
    pub(super) fn end(mut self, answer: &Result<Response>) {
        if let Some(call) = &mut self.call {
            call.ending = Ending::of(answer);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.recorder.note(call);
        }
    }
}
