//! The task that tries whether what failed is back, off the path of requests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{runtime::Handle, task::AbortHandle};

use super::{CircuitBreaker, Verdict, future::judge};
use crate::{
    address::{Address, Space},
    error::{ErrorKind, Result},
    name::KeyspaceName,
    request::{Get, Request, Response},
    service::{CacheService, oneshot},
    util::until,
};

/// How long a probe may take, where nothing below ends it sooner.
const LONGEST_PROBE: Duration = Duration::from_secs(1);

/// The owner of the task: it runs while the breaker is not closed, and no longer than the service.
#[derive(Debug, Default)]
pub(super) struct Prober {
    running: Arc<AtomicBool>,
    task: Mutex<Option<AbortHandle>>,
}

impl Prober {
    /// Sees to it that the task runs; `false` if there is no runtime to run it.
    pub(super) fn run<S: CacheService>(&self, breaker: &CircuitBreaker, inner: &S, probe: Option<&Request>) -> bool {
        if self.running.load(SeqCst) {
            return true;
        }
        let Ok(runtime) = Handle::try_current() else { return false };
        if !self.running.swap(true, SeqCst) {
            let running = Running(Arc::clone(&self.running));
            let probe = probe.map_or_else(nobodys_key, Request::clone);
            let task = runtime.spawn(probe_until_closed(running, breaker.clone(), inner.clone(), probe));
            *self.task.lock() = Some(task.abort_handle());
        }
        true
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.get_mut().take().inspect(AbortHandle::abort);
    }
}

/// Says that the task has ended, also when it ends with its runtime.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

async fn probe_until_closed<S: CacheService>(_running: Running, breaker: CircuitBreaker, inner: S, probe: Request) {
    let clock = Arc::clone(breaker.clock());
    while let Some(due) = breaker.probe_at() {
        clock.sleep_until(due).await;
        let Some(admitted) = breaker.try_probe() else {
            // Somebody else probes, or time went back.
            clock.sleep_until(clock.now().after(breaker.config().open_for)).await;
            continue;
        };
        let mut probe = probe.clone();
        let end = clock.now().after(LONGEST_PROBE);
        probe.scope_mut().deadline = Some(end);
        let verdict = match until(&clock, Some(end), oneshot(inner.clone(), probe)).await {
            Some(answer) => verdict_of(&breaker, &answer),
            None => Verdict::Failure,
        };
        admitted.record(verdict);
        if verdict == Verdict::Ignored {
            // It is busy: asked again at once, it would be asked without end.
            clock.sleep_until(clock.now().after(breaker.config().open_for)).await;
        }
    }
}

/// What a probe says of the leaf: one that refuses the question is there.
fn verdict_of(breaker: &CircuitBreaker, answer: &Result<Response>) -> Verdict {
    match answer {
        Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported | ErrorKind::Protocol) => {
            Verdict::Success
        }
        answer => judge(breaker, answer),
    }
}

/// A read of a key that nobody has.
fn nobodys_key() -> Request {
    let keyspace = KeyspaceName::new("memstache").expect("a good name");
    let address = Address::plain(&Space::new(None, &keyspace), "probe").expect("a good name");
    Get::one(address).into()
}
