//! Parts for tests (feature `test-util`).
//!
//! - [`ManualClock`]: time that stands until it is advanced.
//! - [`NaiveStore`]: a store that is obviously right, to put under what is tested.
//! - [`Faults`], [`SlowLayer`], [`Recorder`]: layers that make a stack fail, wait and tell what passed.
//! - [`Gate`]: holds a call at one point, for an exact interleaving.
//! - [`samples`]: one request of every kind, for tests that must not forget one.
//! - [`History`]: a record of what happened under load and faults, and whether it was allowed.
//! - [`conformance`]: the suite that every store and every stack must pass.
//! - [`records`]: the suite that every record store must pass.
//!
//! A read that meets a broken store, then a slow one, and how often it was tried:
//!
//! ```
//! use std::time::Duration;
//! use memstache_core::testing::{Fault, Faults, ManualClock, NaiveStore, Recorder, SlowLayer};
//! use memstache_core::{Address, ErasedService, Error, ErrorKind, Get, KeyspaceName, Space};
//! use tower_layer::Layer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> memstache_core::Result<()> {
//! let (clock, faults, recorder) = (ManualClock::new(), Faults::new(), Recorder::new());
//! let slow = SlowLayer::new(clock.clone()).with_after(|_| Duration::from_millis(5));
//! let store = NaiveStore::new(clock.clone());
//! let service = ErasedService::new(recorder.layer(faults.layer(slow.layer(store.service()))));
//!
//! let key = Address::plain(&Space::new(None, &KeyspaceName::new("drinks")?), "tea")?;
//! faults.inject(Fault::before(Error::new(ErrorKind::Unavailable, "the store is gone")).times(1));
//! assert!(service.dispatch(Get::one(key.clone())).await.is_err());
//!
//! let call = tokio::spawn(service.dispatch(Get::one(key)));
//! tokio::task::yield_now().await;
//! clock.advance(Duration::from_millis(5));
//! assert!(call.await.unwrap().is_ok());
//! recorder.assert_calls("get", 2);
//! # Ok(())
//! # }
//! ```

mod clock;
pub mod conformance;
mod faulty;
mod gate;
mod history;
mod naive;
mod recording;
pub mod records;
mod samples;
mod slow;

pub use self::{
    clock::ManualClock,
    faulty::{Fault, Faults, Faulty},
    gate::Gate,
    history::{Breach, History, Stamp, Violation, WriteOutcome},
    naive::{NaiveStore, Sabotage},
    recording::{Call, Ending, Outcome, Recorder, Recording},
    samples::samples,
    slow::{Slow, SlowLayer},
};
