//! One call at a server.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use memstache_core::{BoxFuture, Error, ErrorKind, Result, Tick};

use crate::wire::{Answer, Call, CallContext, Handler, Header, Kind, Out, PeerInfo, Writer, begin, end, put_answer};

/// A handler at work; a panic of its becomes an answer.
pub(super) struct Work(Option<BoxFuture<'static, Answer>>);

/// What came of it.
pub(super) struct Worked {
    pub(super) answer: Answer,
    pub(super) panicked: bool,
}

impl Work {
    pub(super) fn new(handler: &Arc<dyn Handler>, from: &Arc<PeerInfo>, call: Call, context: CallContext) -> Self {
        // A handler may panic before it has a future.
        Self(catch_unwind(AssertUnwindSafe(|| handler.handle(from, call, context))).ok())
    }
}

impl Future for Work {
    type Output = Worked;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Worked> {
        let polled = self.0.as_mut().map(|work| catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))));
        match polled {
            Some(Ok(Poll::Pending)) => Poll::Pending,
            Some(Ok(Poll::Ready(answer))) => {
                self.0 = None;
                Poll::Ready(Worked { answer, panicked: false })
            }
            Some(Err(_)) | None => {
                self.0 = None;
                let error = Error::new(ErrorKind::Unknown, "the peer panicked over the call");
                Poll::Ready(Worked { answer: Answer::Failed(error.with_retryable(false)), panicked: true })
            }
        }
    }
}

/// Writes the frame of an answer. Of one that fits no frame, as much as fits; if that is nothing, an error.
pub(super) fn put_frame(out: &mut Out, id: u64, answer: &Answer, now: Tick, max_frame: usize) {
    let Err(error) = try_put(out, id, answer, now, max_frame) else { return };
    let less = if error.kind() == ErrorKind::TooLarge { answer.within(max_frame) } else { None };
    if less.is_some_and(|less| try_put(out, id, &less, now, max_frame).is_ok()) {
        return;
    }
    try_put(out, id, &Answer::Failed(error), now, max_frame).expect("an error is short");
}

/// Writes the frame of an answer, or nothing.
fn try_put(out: &mut Out, id: u64, answer: &Answer, now: Tick, max_frame: usize) -> Result<()> {
    let mark = begin(out, &Header::new(Kind::Answer, id));
    if let Err(error) = put_answer(&mut Writer::new(out, now), answer) {
        out.roll_back(mark);
        return Err(error);
    }
    let too_large = || Error::new(ErrorKind::TooLarge, format!("the answer does not fit a frame of {max_frame} bytes"));
    end(out, mark, max_frame).map(drop).ok_or_else(too_large)
}
