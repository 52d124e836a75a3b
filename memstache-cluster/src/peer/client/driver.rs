//! The task of a connection: writes the queue, hands out answers, keeps the time.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use memstache_core::{BoxFuture, Error, ErrorKind, Result, Tick};

use super::{
    connection::{Connection, Shared},
    slots::{Outcome, SlotId},
};
use crate::{
    peer::{config::PeerConfig, io::Io},
    wire::{Frame, Kind, put_bare},
};

/// More than this is not taken from the queue before it is written.
const BATCH: usize = 256 << 10;

/// Most reads in a row before others on the thread have their turn.
const TURNS: usize = 16;

/// The task of a connection; ends with it.
pub(super) struct Driver {
    connection: Arc<Connection>,
    config: Arc<PeerConfig>,
    timer: BoxFuture<'static, ()>,
    /// Others are let run once before a queue is written that may grow.
    gave_way: bool,
    last_read: Tick,
    /// When the ping was sent that is not answered.
    pinged: Option<Tick>,
    /// Since when a frame is on its way in.
    within_since: Option<Tick>,
    /// Since when the stream takes nothing, and how much it had taken then.
    stalled: Option<(Tick, u64)>,
    answered: Vec<(SlotId, Outcome)>,
    woken: Vec<Waker>,
}

/// Why a connection ended, if it was silent: the peer may be gone without having said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Silent;

impl std::fmt::Display for Silent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the peer is silent")
    }
}

impl std::error::Error for Silent {}

/// Why a call ended, if its time passed on a connection that may be well: what it asks for may take longer than it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Late;

impl std::fmt::Display for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the call was late")
    }
}

impl std::error::Error for Late {}

impl Driver {
    pub(super) fn new(connection: Arc<Connection>, config: Arc<PeerConfig>) -> Self {
        let now = connection.clock.now();
        let looks_at = now.after(config.idle_ping_after);
        connection.shared.lock().looks_at = looks_at;
        let timer = connection.clock.sleep_until(looks_at);
        Self {
            connection,
            config,
            timer,
            gave_way: false,
            last_read: now,
            pinged: None,
            within_since: None,
            stalled: None,
            answered: Vec::new(),
            woken: Vec::new(),
        }
    }

    /// Runs until there is nothing to do. The error is why the connection ends.
    fn run(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let connection = Arc::clone(&self.connection);
        {
            let mut shared = connection.shared.lock();
            if let Some(error) = &shared.closed {
                return Err(error.clone());
            }
            if (shared.abandoned || shared.retired) && shared.slots.used() == 0 && shared.out.is_empty() {
                return Err(gone("the connection was not needed any more"));
            }
            if shared.sooner {
                shared.sooner = false;
                self.timer = connection.clock.sleep_until(shared.looks_at);
            }
            // Those who are called back by the answers of one read often call again: their calls go out in one write.
            if shared.queued > 0 && shared.queued < shared.slots.waiting() && !self.gave_way {
                self.gave_way = true;
                cx.waker().wake_by_ref();
                return Ok(());
            }
        }
        self.gave_way = false;
        self.exchange(&mut connection.io.lock(), cx)?;
        while self.timer.as_mut().poll(cx).is_ready() {
            self.look(cx)?;
        }
        Ok(())
    }

    fn exchange(&mut self, io: &mut Io, cx: &mut Context<'_>) -> Result<()> {
        for turn in 1.. {
            self.write(io, cx)?;
            self.note_stall(io);
            match io.poll_read(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(gone("the peer closed the connection")),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(lost(&error)),
            }
            self.last_read = self.connection.clock.lower_bound();
            let mut complete = false;
            while let Some(frame) = io.next_frame()? {
                complete = true;
                self.take(frame)?;
            }
            self.note_frame(io, complete);
            self.deliver()?;
            if turn == TURNS {
                cx.waker().wake_by_ref();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Writes the queue, as far as the stream takes it.
    fn write(&self, io: &mut Io, cx: &mut Context<'_>) -> Result<()> {
        loop {
            if io.out.len() < BATCH {
                self.connection.shared.lock().take(&mut io.out);
            }
            match io.poll_write(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(error)) => return Err(lost(&error)),
                Poll::Ready(Ok(())) if self.connection.shared.lock().out.is_empty() => return Ok(()),
                Poll::Ready(Ok(())) => {}
            }
        }
    }

    fn take(&mut self, frame: Frame) -> Result<()> {
        match frame.header.kind {
            Kind::Answer => self.answered.push((SlotId::of_request_id(frame.header.id), Ok(frame))),
            Kind::Pong => self.pinged = None,
            Kind::Goodbye => self.connection.shared.lock().retired = true,
            _ => {
                return Err(Error::new(
                    ErrorKind::Protocol,
                    "a peer sent a frame that is not for the one who connected",
                ));
            }
        }
        Ok(())
    }

    /// Hands out what was answered, and wakes the callers without the lock.
    fn deliver(&mut self) -> Result<()> {
        let mut unasked = false;
        {
            let mut shared = self.connection.shared.lock();
            for (id, outcome) in self.answered.drain(..) {
                match shared.slots.complete(id, outcome) {
                    Some(waker) => self.woken.extend(waker),
                    // It crossed the news that nobody waits for it; more of these than that are no accident.
                    None if shared.cancelled > 0 => shared.cancelled -= 1,
                    None => unasked = true,
                }
            }
        }
        self.woken.drain(..).for_each(Waker::wake);
        if unasked {
            return Err(Error::new(ErrorKind::Protocol, "a peer sent an answer that nobody asked for"));
        }
        Ok(())
    }

    fn note_frame(&mut self, io: &Io, complete: bool) {
        if !io.is_within_frame() {
            self.within_since = None;
        } else if complete || self.within_since.is_none() {
            self.within_since = Some(self.last_read);
        }
    }

    fn note_stall(&mut self, io: &Io) {
        if !io.wants_write() {
            self.stalled = None;
        } else if self.stalled.is_none_or(|(_, written)| written != io.written()) {
            self.stalled = Some((self.connection.clock.lower_bound(), io.written()));
        }
    }

    /// Ends calls whose deadline has passed, looks after a silent line, and sets the timer.
    fn look(&mut self, cx: &Context<'_>) -> Result<()> {
        let now = self.connection.clock.now();
        let limit = self.config.frame_timeout;
        let passed = |since: Option<Tick>| since.is_some_and(|since| now >= since.after(limit));
        if passed(self.within_since) || passed(self.stalled.map(|(since, _)| since)) {
            return Err(silent("a frame took longer than it may"));
        }
        let mut shared = self.connection.shared.lock();
        let mut next = end_late_calls(&mut shared, now, &mut self.woken);
        let silence = if shared.slots.waiting() > 0 { self.config.ping_after } else { self.config.idle_ping_after };
        match self.pinged {
            Some(sent) if now >= sent.after(self.config.pong_timeout) && self.last_read < sent => {
                return Err(silent("the peer did not answer a ping"));
            }
            Some(sent) if self.last_read >= sent => self.pinged = None,
            None if now >= self.last_read.after(silence) => {
                put_bare(&mut shared.out, Kind::Ping, 0);
                self.pinged = Some(now);
                cx.waker().wake_by_ref();
            }
            _ => {}
        }
        next = next.min(match self.pinged {
            Some(sent) => sent.after(self.config.pong_timeout),
            None => self.last_read.after(silence),
        });
        // Never at once again, whatever the clock does.
        next = next.max(Tick::from_millis(now.as_millis() + 1));
        shared.looks_at = next;
        shared.sooner = false;
        if !shared.out.is_empty() {
            cx.waker().wake_by_ref();
        }
        drop(shared);
        self.timer = self.connection.clock.sleep_until(next);
        self.woken.drain(..).for_each(Waker::wake);
        Ok(())
    }
}

/// Returns when the next call is late.
fn end_late_calls(shared: &mut Shared, now: Tick, woken: &mut Vec<Waker>) -> Tick {
    let late = Error::new(ErrorKind::Timeout, "the peer did not answer before the deadline").with_source(Late);
    let mut ended = Vec::new();
    let next = shared.slots.expire(now, &late, &mut ended);
    for (id, waker) in ended {
        shared.cancelled += 1;
        put_bare(&mut shared.out, Kind::Cancel, id.as_request_id());
        woken.push(waker);
    }
    next
}

fn gone(what: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, what)
}

fn lost(error: &io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the connection to the peer was lost: {}", error.kind()))
}

fn silent(what: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, what).with_source(Silent)
}

impl Future for Driver {
    /// Why the connection ended.
    type Output = Error;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Error> {
        self.connection.driver.register(cx.waker());
        match self.run(cx) {
            Ok(()) => Poll::Pending,
            Err(error) => {
                // Those whose calls have ended by themselves; `close` wakes the others.
                self.woken.drain(..).for_each(Waker::wake);
                self.connection.close(&error);
                Poll::Ready(error)
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Whatever ends the task, nobody waits for answers that cannot come.
        self.connection.close(&gone("the connection was closed"));
    }
}
