//! A stream whose reader is waited for, but not for ever.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use memstache_core::{BoxFuture, Clock};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::BoxStream;

/// A stream that fails when what is written does not get on for so long.
pub(super) struct Patient {
    stream: BoxStream,
    clock: Arc<dyn Clock>,
    limit: Duration,
    /// Runs while nothing gets on.
    timer: Option<BoxFuture<'static, ()>>,
}

impl Patient {
    pub(super) fn new(stream: BoxStream, clock: Arc<dyn Clock>, limit: Duration) -> Self {
        Self { stream, clock, limit, timer: None }
    }

    /// Looks at the time while something is pending.
    fn bounded<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.timer = None;
            return polled;
        }
        let (clock, limit) = (&self.clock, self.limit);
        let timer = self.timer.get_or_insert_with(|| clock.sleep_until(clock.now().after(limit)));
        timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bounded(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.bounded(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.bounded(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bounded(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use memstache_core::SystemClock;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_is_waited_for_and_who_does_not_is_not() {
        let (near, mut far) = duplex(8);
        let mut near = Patient::new(Box::new(near), Arc::new(SystemClock::new()), Duration::from_secs(10));
        let slowly = tokio::spawn(async move {
            let mut read = [0; 8];
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                far.read_exact(&mut read).await.unwrap();
            }
            far
        });
        near.write_all(&[7; 48]).await.unwrap();
        let far = slowly.await.unwrap();
        let error = near.write_all(&[7; 9]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(far);
    }
}
