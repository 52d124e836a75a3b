//! The task of a connection that came in: reads calls, has them handled, writes answers.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use memstache_core::{BoxFuture, Clock, Error, ErrorKind, Result, Tick};
use tokio::task::AbortHandle;

use super::{
    call::{Work, put_frame},
    finished::Finished,
    stats::Counters,
};
use crate::{
    peer::{config::PeerConfig, io::Io, until::until},
    wire::{Frame, Handler, Header, Kind, Names, Out, PeerInfo, Reader, get_call, put_bare},
};

/// Most frames in a row before others on the thread have their turn.
const TURNS: usize = 256;

/// What all connections of a server have in common.
pub(super) struct Common {
    pub(super) handler: Arc<dyn Handler>,
    pub(super) config: Arc<PeerConfig>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Arc<Counters>,
}

/// The task of a connection; ends with it, and ends what it has under way.
pub(super) struct Connection {
    common: Arc<Common>,
    io: Io,
    info: Arc<PeerInfo>,
    names: Names,
    finished: Arc<Finished>,
    ids: Vec<u64>,
    in_flight: HashMap<u64, Flight>,
    /// Bytes of the frames of calls that are under way.
    held: usize,
    goodbye_said: bool,
    timer: BoxFuture<'static, ()>,
    last_read: Tick,
    within_since: Option<Tick>,
    stalled: Option<(Tick, u64)>,
    pings: (Tick, u32),
}

/// A call that is worked on in a task of its own.
struct Flight {
    task: AbortHandle,
    bytes: usize,
}

/// Why a connection ended.
pub(super) enum End {
    /// The peer closed it, or it was lost.
    Closed,
    /// It sent what no peer of ours sends.
    BadFrame(Error),
    /// A frame did not get on.
    Slow,
    /// Nothing came.
    Idle,
    /// The server is stopping, and nothing is under way.
    Stopped,
}

type Step<T = ()> = std::result::Result<T, End>;

impl Connection {
    pub(super) fn new(common: Arc<Common>, io: Io, info: Arc<PeerInfo>, finished: Arc<Finished>) -> Self {
        let now = common.clock.now();
        let timer = common.clock.sleep_until(now.after(rhythm(&common.config)));
        Self {
            common,
            io,
            info,
            names: Names::default(),
            finished,
            ids: Vec::new(),
            in_flight: HashMap::new(),
            held: 0,
            goodbye_said: false,
            timer,
            last_read: now,
            within_since: None,
            stalled: None,
            pings: (now, 0),
        }
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Step {
        for turn in 1.. {
            let stopping = self.collect();
            let read = self.read(cx)?;
            if self.io.wants_write() {
                let written = self.io.poll_write(cx).map_err(|_| End::Closed);
                if let Poll::Ready(done) = written {
                    done?;
                }
            }
            self.note_stall();
            if stopping && self.in_flight.is_empty() && !self.io.wants_write() {
                return Err(End::Stopped);
            }
            // What kept it from reading may be over now that it has written.
            if read == Read::All || (read == Read::Held && !self.may_read()) {
                break;
            }
            if turn == 4 {
                cx.waker().wake_by_ref();
                break;
            }
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            self.look()?;
        }
        Ok(())
    }

    /// Takes over what was answered meanwhile.
    fn collect(&mut self) -> bool {
        let stopping = self.finished.take(&mut self.io.out, &mut self.ids);
        while let Some(id) = self.ids.pop() {
            self.end_flight(id);
        }
        if stopping && !self.goodbye_said {
            self.goodbye_said = true;
            put_bare(&mut self.io.out, Kind::Goodbye, 0);
        }
        stopping
    }

    fn end_flight(&mut self, id: u64) -> Option<Flight> {
        let flight = self.in_flight.remove(&id)?;
        self.held -= flight.bytes;
        Some(flight)
    }

    /// A peer that asks for more than is bearable waits: its frames stay in its buffers.
    fn may_read(&self) -> bool {
        let config = &self.common.config;
        self.in_flight.len() < config.max_in_flight && self.held + self.io.out.len() < config.max_held
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Step<Read> {
        let mut frames = 0;
        loop {
            if !self.may_read() {
                return Ok(Read::Held);
            }
            if let Some(frame) = self.io.next_frame().map_err(End::BadFrame)? {
                self.within_since = None;
                self.take(frame).map_err(End::BadFrame)?;
                frames += 1;
                if frames == TURNS {
                    return Ok(Read::Some);
                }
                continue;
            }
            match self.io.poll_read(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(0) | Err(_)) => return Err(End::Closed),
                Poll::Ready(Ok(_)) => self.last_read = self.common.clock.lower_bound(),
            }
        }
        if self.io.is_within_frame() && self.within_since.is_none() {
            self.within_since = Some(self.last_read);
        }
        Ok(Read::All)
    }

    fn take(&mut self, frame: Frame) -> Result<()> {
        match frame.header.kind {
            Kind::Call => self.call(frame),
            Kind::Cancel => {
                if let Some(flight) = self.end_flight(frame.header.id) {
                    flight.task.abort();
                    self.common.counters.cancelled.add();
                }
                Ok(())
            }
            Kind::Ping => self.ping(&frame.header),
            Kind::Goodbye => Ok(()),
            _ => Err(protocol("a frame that is not for the one who listens")),
        }
    }

    fn ping(&mut self, header: &Header) -> Result<()> {
        let (since, count) = &mut self.pings;
        if self.last_read >= since.after(Duration::from_secs(1)) {
            (*since, *count) = (self.last_read, 0);
        }
        *count += 1;
        if *count > self.common.config.max_pings {
            return Err(protocol("too many pings"));
        }
        put_bare(&mut self.io.out, Kind::Pong, header.id);
        Ok(())
    }

    fn call(&mut self, frame: Frame) -> Result<()> {
        let (id, bytes) = (frame.header.id, frame.header.len() + frame.body.len());
        let now = self.common.clock.now();
        let longest = now.after(self.common.config.longest_call);
        let mut context = frame.header.context(now);
        if self.in_flight.contains_key(&id) {
            return Err(protocol("a call under the id of another one"));
        }
        let call = get_call(&mut Reader::new(&frame.body, &mut self.names, now, context.deadline))?;
        drop(frame);
        let counters = &self.common.counters;
        counters.calls.add();
        if context.deadline.is_some_and(|deadline| deadline <= now) {
            counters.late.add();
            return Ok(());
        }
        context.deadline = Some(context.deadline.map_or(longest, |deadline| deadline.min(longest)));
        let mut work = Work::new(&self.common.handler, &self.info, call, context);
        // What is answered at once costs no task. What is woken now is lost; the task polls again.
        match Pin::new(&mut work).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(worked) => {
                if worked.panicked {
                    counters.panics.add();
                }
                put_frame(&mut self.io.out, id, &worked.answer, now, self.common.config.max_frame);
            }
            Poll::Pending => {
                let task = tokio::spawn(self.work_on(id, work, context.deadline)).abort_handle();
                self.held += bytes;
                match self.in_flight.entry(id) {
                    Entry::Vacant(place) => place.insert(Flight { task, bytes }),
                    Entry::Occupied(_) => unreachable!("it was looked for"),
                };
            }
        }
        Ok(())
    }

    /// Works on a call until it is done or late; the caller of a late one has given up.
    fn work_on(&self, id: u64, work: Work, deadline: Option<Tick>) -> impl Future<Output = ()> + Send + 'static {
        let (common, finished) = (Arc::clone(&self.common), Arc::clone(&self.finished));
        async move {
            let Some(worked) = until(&common.clock, deadline, work).await else {
                common.counters.late.add();
                return finished.add(id, None);
            };
            if worked.panicked {
                common.counters.panics.add();
            }
            let mut out = Out::default();
            put_frame(&mut out, id, &worked.answer, common.clock.now(), common.config.max_frame);
            finished.add(id, Some(out));
        }
    }

    fn note_stall(&mut self) {
        if !self.io.wants_write() {
            self.stalled = None;
        } else if self.stalled.is_none_or(|(_, written)| written != self.io.written()) {
            self.stalled = Some((self.common.clock.lower_bound(), self.io.written()));
        }
    }

    /// Looks whether the peer is still there and gets on.
    fn look(&mut self) -> Step {
        let (now, config) = (self.common.clock.now(), &self.common.config);
        if !self.may_read() {
            // It is this node that does not read.
            self.last_read = now;
            self.within_since = self.within_since.map(|_| now);
        }
        let passed = |since: Option<Tick>| since.is_some_and(|since| now >= since.after(config.frame_timeout));
        if passed(self.within_since) || passed(self.stalled.map(|(since, _)| since)) {
            return Err(End::Slow);
        }
        if now >= self.last_read.after(config.idle_timeout) {
            return Err(End::Idle);
        }
        self.timer = self.common.clock.sleep_until(now.after(rhythm(config)));
        Ok(())
    }
}

/// Whether there is more to read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    All,
    Some,
    /// More than may be under way.
    Held,
}

/// How often a connection is looked after.
fn rhythm(config: &PeerConfig) -> Duration {
    (config.frame_timeout.min(config.idle_timeout) / 2).max(Duration::from_millis(1))
}

fn protocol(what: &'static str) -> Error {
    Error::new(ErrorKind::Protocol, format!("a peer sent {what}"))
}

impl Future for Connection {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        self.finished.waker.register(cx.waker());
        match self.run(cx) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.in_flight.values().for_each(|flight| flight.task.abort());
        // As far as it goes at once: a peer that reads learns that this was no accident.
        let _: Poll<io::Result<()>> = self.io.poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }
}
