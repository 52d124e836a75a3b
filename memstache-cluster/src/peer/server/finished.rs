//! Answers of calls that took longer, on their way to the task of their connection.

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::wire::Out;

/// Where the tasks of calls put what they answer.
#[derive(Default)]
pub(super) struct Finished {
    state: Mutex<State>,
    pub(super) waker: AtomicWaker,
}

#[derive(Default)]
struct State {
    out: Out,
    ids: Vec<u64>,
    ready: bool,
    stopping: bool,
}

impl Finished {
    /// Adds the frame of an answer; none if the caller is not to get one.
    pub(super) fn add(&self, id: u64, frame: Option<Out>) {
        {
            let mut state = self.state.lock();
            if let Some(frame) = frame {
                state.out.append(frame);
            }
            state.ids.push(id);
        }
        self.waker.wake();
    }

    /// Moves all to the connection. Returns whether it is to end when nothing is under way.
    pub(super) fn take(&self, out: &mut Out, ids: &mut Vec<u64>) -> bool {
        let mut state = self.state.lock();
        if !state.ids.is_empty() {
            ids.append(&mut state.ids);
            if out.is_empty() {
                std::mem::swap(out, &mut state.out);
            } else {
                out.append(std::mem::take(&mut state.out));
            }
        }
        state.stopping
    }

    /// The connection takes calls from now on.
    pub(super) fn set_ready(&self) {
        self.state.lock().ready = true;
    }

    /// Tells the connection to end when nothing is under way. Returns whether it is ready at all.
    pub(super) fn stop(&self) -> bool {
        let ready = {
            let mut state = self.state.lock();
            state.stopping = true;
            state.ready
        };
        self.waker.wake();
        ready
    }
}
