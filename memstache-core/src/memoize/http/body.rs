//! The body of an answer, and what is collected of a response's.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

/// The body of an answer: from the cache, or the inner service's own, or begun by one and ended by the other.
pub struct MemoBody<B: Body> {
    /// What is there already.
    frames: VecDeque<Frame<Bytes>>,
    rest: Rest<B>,
}

enum Rest<B: Body> {
    End,
    Body(Pin<Box<B>>),
    Failed(B::Error),
}

impl<B: Body> MemoBody<B> {
    pub(super) fn whole(bytes: Bytes) -> Self {
        let frames = (!bytes.is_empty()).then(|| Frame::data(bytes)).into_iter().collect();
        Self { frames, rest: Rest::End }
    }

    pub(super) fn inner(body: B) -> Self {
        Self { frames: VecDeque::new(), rest: Rest::Body(Box::pin(body)) }
    }
}

/// Reads a body to its end; or gives it back, as if nothing had been read of it, when it cannot be stored.
///
/// It cannot be if it is longer than `limit`, has trailers, or fails. At most the limit and one frame are held.
pub(super) async fn collect<B: Body<Data = Bytes>>(body: B, limit: usize) -> Result<Bytes, MemoBody<B>> {
    if body.size_hint().lower() > limit as u64 {
        return Err(MemoBody::inner(body));
    }
    let (mut body, mut frames, mut len) = (Box::pin(body), VecDeque::new(), 0_usize);
    loop {
        match poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            None => return Ok(join(frames)),
            Some(Err(error)) => return Err(MemoBody { frames, rest: Rest::Failed(error) }),
            Some(Ok(frame)) => {
                let data = frame.data_ref().map(Bytes::len);
                frames.push_back(frame);
                len = len.saturating_add(data.unwrap_or(0));
                if data.is_none() || len > limit {
                    return Err(MemoBody { frames, rest: Rest::Body(body) });
                }
            }
        }
    }
}

fn join(frames: VecDeque<Frame<Bytes>>) -> Bytes {
    let mut parts = frames.into_iter().filter_map(|frame| frame.into_data().ok());
    let Some(first) = parts.next() else { return Bytes::new() };
    let Some(second) = parts.next() else { return first };
    let mut whole = BytesMut::from(first);
    whole.extend_from_slice(&second);
    parts.for_each(|part| whole.extend_from_slice(&part));
    whole.freeze()
}

// What is pinned is boxed.
impl<B: Body> Unpin for MemoBody<B> {}

impl<B: Body<Data = Bytes>> Body for MemoBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Rest::Body(body) = &mut self.rest {
            let frame = ready!(body.as_mut().poll_frame(cx));
            if frame.is_none() {
                self.rest = Rest::End;
            }
            return Poll::Ready(frame);
        }
        Poll::Ready(match std::mem::replace(&mut self.rest, Rest::End) {
            Rest::Failed(error) => Some(Err(error)),
            Rest::End | Rest::Body(_) => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
            && match &self.rest {
                Rest::End => true,
                Rest::Body(body) => body.is_end_stream(),
                Rest::Failed(_) => false,
            }
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.frames.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum();
        match &self.rest {
            Rest::End => SizeHint::with_exact(held),
            Rest::Failed(_) => at_least(held, None),
            Rest::Body(body) => {
                let rest = body.size_hint();
                at_least(held.saturating_add(rest.lower()), rest.upper().and_then(|upper| upper.checked_add(held)))
            }
        }
    }
}

fn at_least(lower: u64, upper: Option<u64>) -> SizeHint {
    let mut hint = SizeHint::new();
    hint.set_lower(lower);
    if let Some(upper) = upper {
        hint.set_upper(upper);
    }
    hint
}

impl<B: Body> fmt::Debug for MemoBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoBody").field("frames_held", &self.frames.len()).finish_non_exhaustive()
    }
}
