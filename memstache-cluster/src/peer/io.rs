//! Reading and writing frames on a stream, poll by poll.

use std::{
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes, BytesMut};
use memstache_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::{
    net::BoxStream,
    wire::{Frame, Header, Kind, MAX_FRAME, Out, announced, begin, end, next},
};

/// Room that is made to read into; many small frames share it.
const CHUNK: usize = 64 << 10;

/// With less room than this left, new room is made.
const LITTLE: usize = 4 << 10;

/// Frames from this length on do not share room with others: a value of theirs would keep it.
const LARGE: usize = 4 << 10;

/// Most room that is made for a frame at once, before its bytes are there.
const STEP: usize = 256 << 10;

/// Most pieces that are written at once.
const SLICES: usize = 32;

/// A stream with what was read and is not yet a frame, and what is to be written.
pub(super) struct Io {
    stream: BoxStream,
    read: BytesMut,
    pub(super) out: Out,
    max_frame: usize,
    must_flush: bool,
    written: u64,
}

impl Io {
    pub(super) fn new(stream: BoxStream, max_frame: usize) -> Self {
        Self { stream, read: BytesMut::new(), out: Out::default(), max_frame, must_flush: false, written: 0 }
    }

    /// Sets how long a frame may be that comes from now on.
    pub(super) fn set_max_frame(&mut self, max: usize) {
        self.max_frame = max;
    }

    /// Whether a frame has begun and is not there yet.
    pub(super) fn is_within_frame(&self) -> bool {
        !self.read.is_empty()
    }

    /// Whether something is to be written or flushed.
    pub(super) fn wants_write(&self) -> bool {
        !self.out.is_empty() || self.must_flush
    }

    /// How many bytes the stream has taken so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Takes the next frame of what was read.
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>> {
        let frame = next(&mut self.read, self.max_frame)?;
        Ok(frame.map(|mut frame| {
            // What shares room with others is copied if it is large enough to be kept as it is by who stores it.
            if frame.body.len() > LARGE && frame.body.len() < CHUNK {
                frame.body = Bytes::copy_from_slice(&frame.body);
            }
            frame
        }))
    }

    /// Reads what there is; zero is the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let most = self.make_room();
        let mut room = (&mut self.read).limit(most);
        // It keeps nothing between two polls, so that it can be made anew for each.
        pin!(self.stream.read_buf(&mut room)).poll(cx)
    }

    /// Makes room for what comes next, and returns how much of it may be read.
    fn make_room(&mut self) -> usize {
        let (len, free) = (self.read.len(), self.read.capacity() - self.read.len());
        match announced(&self.read, self.max_frame) {
            // A frame with room for itself; made step by step, as its bytes arrive.
            Ok(Some(whole)) if whole >= CHUNK => {
                let missing = whole - len;
                if free == 0 || (free < missing && free < LITTLE) {
                    self.read.reserve(missing.min(STEP.max(len)));
                }
                missing.min(self.read.capacity() - len)
            }
            _ => {
                if free < LITTLE {
                    self.read.reserve(CHUNK);
                }
                CHUNK
            }
        }
    }

    /// Writes and flushes as much as the stream takes; ready when nothing is left.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self.out.slices(&mut slices);
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..filled]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(written);
            self.written += written as u64;
            self.must_flush = true;
        }
        if self.must_flush {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.must_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes one frame of a handshake.
    pub(super) async fn send(&mut self, kind: Kind, body: &[u8]) -> io::Result<()> {
        let mark = begin(&mut self.out, &Header::new(kind, 0));
        self.out.put(body);
        end(&mut self.out, mark, MAX_FRAME).expect("a handshake is short");
        poll_fn(|cx| self.poll_write(cx)).await
    }

    /// Reads one frame of a handshake.
    pub(super) async fn receive(&mut self) -> Result<Frame> {
        loop {
            if let Some(frame) = self.next_frame()? {
                return Ok(frame);
            }
            if poll_fn(|cx| self.poll_read(cx)).await? == 0 {
                return Err(Error::new(ErrorKind::Unavailable, "the peer closed the connection"));
            }
        }
    }

    /// Says that nothing more is written. May be called until it is ready.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Returns how much room the buffers take.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.read.capacity() + self.out.len()
    }
}
