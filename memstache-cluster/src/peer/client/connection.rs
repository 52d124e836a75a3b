//! One connection to a peer: many calls at once.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use memstache_core::{Clock, Error, ErrorKind, Result, Tick};
use parking_lot::Mutex;

use super::slots::{SlotId, Slots};
use crate::{
    peer::io::Io,
    wire::{
        Answer, Call, CallContext, Frame, Header, Kind, Names, Out, PeerInfo, Reader, Writer, begin, end, get_answer,
        put_bare, put_call,
    },
};

/// One connection to a peer.
///
/// Callers write their calls into one queue; the [driver](super::driver) writes the queue to the stream and hands out
/// answers. A caller who is alone writes by itself: that saves waking another task.
pub(super) struct Connection {
    pub(super) info: Arc<PeerInfo>,
    pub(super) clock: Arc<dyn Clock>,
    /// Locked by the driver for each poll, and by a caller who is alone; never across an await.
    pub(super) io: Mutex<Io>,
    pub(super) shared: Mutex<Shared>,
    pub(super) driver: AtomicWaker,
    limits: Limits,
}

/// What the peer bears.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) in_flight: usize,
    pub(super) frame: usize,
    /// Most bytes that wait to be written.
    pub(super) held: usize,
    /// After how long a silence with calls under way a ping is sent.
    pub(super) silence: Duration,
}

/// What callers and the driver share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) out: Out,
    pub(super) slots: Slots,
    /// How many calls are in the queue.
    pub(super) queued: usize,
    /// Calls that were given up and whose answers may still come.
    pub(super) cancelled: u64,
    /// When the driver looks at deadlines and silence next.
    pub(super) looks_at: Tick,
    /// That became sooner.
    pub(super) sooner: bool,
    /// The peer takes no more calls here; those under way are answered.
    pub(super) retired: bool,
    /// Why it is no more.
    pub(super) closed: Option<Error>,
    /// Nobody holds the connection any more: the driver ends.
    pub(super) abandoned: bool,
}

impl Connection {
    pub(super) fn new(info: Arc<PeerInfo>, clock: Arc<dyn Clock>, io: Io, limits: Limits) -> Self {
        let (io, shared) = (Mutex::new(io), Mutex::new(Shared::default()));
        Self { info, clock, io, shared, driver: AtomicWaker::new(), limits }
    }

    /// Whether new calls can be made.
    pub(super) fn is_usable(&self) -> bool {
        let shared = self.shared.lock();
        shared.closed.is_none() && !shared.retired
    }

    pub(super) fn in_flight(&self) -> usize {
        self.shared.lock().slots.waiting()
    }

    /// Puts a call on its way.
    ///
    /// Errors, all without effect: `Unavailable`, `Overloaded`, `TooLarge`, `Unsupported`.
    pub(super) fn start(self: &Arc<Self>, call: &Call, context: &CallContext, now: Tick) -> Result<Pending> {
        let deadline = context.deadline.unwrap_or(Tick::NEVER);
        // What is small is written in place, without another buffer; what may be large, without the lock.
        let apart = if is_small(call) { None } else { Some(self.encode(call, context, now)?) };
        let mut shared = self.shared.lock();
        shared.admit(&self.limits)?;
        let id = shared.slots.insert(deadline);
        let written = match apart {
            Some(body) => {
                let mark = begin(&mut shared.out, &Header::of_call(id.as_request_id(), context, now));
                shared.out.append(body);
                end(&mut shared.out, mark, self.limits.frame).map(drop).ok_or_else(|| too_large(self.limits.frame))
            }
            None => self.write(&mut shared.out, id, call, context, now),
        };
        if let Err(error) = written {
            shared.slots.release(id);
            return Err(error);
        }
        shared.queued += 1;
        let sooner = shared.look_at(deadline.min(now.after(self.limits.silence)));
        let alone = shared.slots.waiting() == 1;
        drop(shared);
        let pending = Pending { connection: Arc::clone(self), id: Some(id) };
        if !alone || !self.write_now() || sooner {
            self.driver.wake();
        }
        Ok(pending)
    }

    fn write(&self, out: &mut Out, id: SlotId, call: &Call, context: &CallContext, now: Tick) -> Result<()> {
        let mark = begin(out, &Header::of_call(id.as_request_id(), context, now));
        if let Err(error) = put_call(&mut Writer::new(out, now), call) {
            out.roll_back(mark);
            return Err(error);
        }
        end(out, mark, self.limits.frame).map(drop).ok_or_else(|| too_large(self.limits.frame))
    }

    fn encode(&self, call: &Call, context: &CallContext, now: Tick) -> Result<Out> {
        let mut body = Out::default();
        put_call(&mut Writer::new(&mut body, now), call)?;
        let header = Header::of_call(0, context, now);
        if body.len() + header.len() > self.limits.frame { Err(too_large(self.limits.frame)) } else { Ok(body) }
    }

    /// Writes the queue from the caller's task. `false` if the driver has to.
    fn write_now(&self) -> bool {
        let Some(mut io) = self.io.try_lock() else { return false };
        if io.wants_write() {
            return false;
        }
        self.shared.lock().take(&mut io.out);
        // The driver is woken for what is left, and for errors: it finds them again.
        matches!(io.poll_write(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
    }

    /// Reads an answer; one that cannot be read ends the connection.
    pub(super) fn read_answer(&self, frame: &Frame) -> Result<Answer> {
        let now = self.clock.now();
        let answer = get_answer(&mut Reader::new(&frame.body, &mut Names::default(), now, None));
        if let Err(error) = &answer {
            self.close(error);
        }
        answer
    }

    /// Ends the connection, and all calls that wait with this error.
    pub(super) fn close(&self, error: &Error) {
        let mut woken = Vec::new();
        {
            let mut shared = self.shared.lock();
            if shared.closed.is_none() {
                shared.closed = Some(error.clone());
            }
            shared.slots.fail_all(error, &mut woken);
        }
        self.driver.wake();
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Says that nobody makes calls here any more: what is under way goes on, then the connection ends.
    pub(super) fn abandon(&self) {
        self.shared.lock().abandoned = true;
        self.driver.wake();
    }
}

impl Shared {
    /// Has the driver look at deadlines and silence at this tick, unless it does so before. Returns whether it must be woken.
    fn look_at(&mut self, tick: Tick) -> bool {
        let sooner = tick < self.looks_at;
        if sooner {
            self.looks_at = tick;
            self.sooner = true;
        }
        sooner
    }

    fn admit(&self, limits: &Limits) -> Result<()> {
        if let Some(error) = &self.closed {
            return Err(Error::new(ErrorKind::Unavailable, error.to_string()).without_effect());
        }
        if self.retired {
            return Err(Error::new(ErrorKind::Unavailable, "the peer takes no more calls").without_effect());
        }
        if self.slots.used() >= limits.in_flight || self.out.len() >= limits.held {
            let Limits { in_flight, held, .. } = limits;
            let detail = format!("a connection to a peer has at most {in_flight} calls and {held} bytes under way");
            return Err(Error::new(ErrorKind::Overloaded, detail).without_effect());
        }
        Ok(())
    }

    /// Moves the queue behind what a writer has.
    pub(super) fn take(&mut self, out: &mut Out) {
        self.queued = 0;
        if out.is_empty() {
            std::mem::swap(out, &mut self.out);
        } else {
            out.append(std::mem::take(&mut self.out));
        }
    }
}

/// Whether a call takes little room, whatever is in it, and little time to write.
fn is_small(call: &Call) -> bool {
    const FEW: usize = 8;
    match call {
        Call::Run { request: memstache_core::Request::Set(set), .. } => {
            let len: usize = set.items.iter().map(|item| item.entry.value.len()).sum();
            set.items.len() <= FEW && len < 64 << 10
        }
        Call::Run { request, .. } => request.len() <= FEW,
        Call::Fetch { items, .. }
        | Call::Peek { items, .. }
        | Call::Copies { items, .. }
        | Call::Revoke { items, .. } => items.len() <= FEW,
        Call::Ping | Call::TakeOver { .. } | Call::Flush { .. } => true,
        Call::Push { .. } | Call::Spread { .. } | Call::Sequences { .. } | Call::Registry { .. } | Call::Gossip(_) => {
            false
        }
    }
}

fn too_large(max: usize) -> Error {
    let detail = format!("a call and its values must fit a frame of {max} bytes");
    Error::new(ErrorKind::TooLarge, detail).without_effect()
}

/// A call that waits for its answer.
///
/// # Cancellation
/// Dropped, it gives its place back and tells the peer.
pub(super) struct Pending {
    connection: Arc<Connection>,
    id: Option<SlotId>,
}

impl Future for Pending {
    type Output = Result<Frame>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Frame>> {
        let id = self.id.expect("polled after it was ready");
        let polled = self.connection.shared.lock().slots.poll(id, cx.waker());
        match polled {
            None => Poll::Pending,
            Some(outcome) => {
                self.id = None;
                Poll::Ready(outcome)
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let mut shared = self.connection.shared.lock();
        let ended = shared.slots.release(id).is_some();
        if !ended && shared.closed.is_none() {
            shared.cancelled += 1;
            put_bare(&mut shared.out, Kind::Cancel, id.as_request_id());
            drop(shared);
            self.connection.driver.wake();
        }
    }
}
