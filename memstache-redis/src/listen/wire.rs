//! A connection that commands are written to and frames are read from.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use redis_protocol::resp3::{decode::complete::decode_bytes_mut, types::BytesFrame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::client::{Failure, Reply};

/// Longest frame: a broadcast of very many keys.
const MAX_FRAME: usize = 64 << 20;

/// A stream of bytes, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(super) struct Wire {
    stream: Box<dyn Stream>,
    read: BytesMut,
}

/// What a server sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The answer to a command.
    Answer(Result<Reply, Failure>),
    /// These keys changed.
    Changed(Vec<Bytes>),
    /// All keys went.
    Flushed,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, read: BytesMut::new() }
    }

    pub(super) async fn send(&mut self, command: &[&[u8]]) -> io::Result<()> {
        self.stream.write_all(&encode(command)).await?;
        self.stream.flush().await
    }

    /// Reads what comes next. Nothing is lost when the future is dropped.
    pub(super) async fn hear(&mut self) -> io::Result<Heard> {
        loop {
            if let Some(heard) = decode(&mut self.read)? {
                return Ok(heard);
            }
            if self.read.len() > MAX_FRAME {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn encode(command: &[&[u8]]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_slice(format!("*{}\r\n", command.len()).as_bytes());
    for part in command {
        out.put_slice(format!("${}\r\n", part.len()).as_bytes());
        out.put_slice(part);
        out.put_slice(b"\r\n");
    }
    out
}

fn decode(read: &mut BytesMut) -> io::Result<Option<Heard>> {
    if read.is_empty() {
        return Ok(None);
    }
    loop {
        let wrong = |_| io::Error::new(io::ErrorKind::InvalidData, "a frame cannot be read");
        let Some((frame, _, _)) = decode_bytes_mut(read).map_err(wrong)? else { return Ok(None) };
        if let Some(heard) = heard(frame) {
            return Ok(Some(heard));
        }
        if read.is_empty() {
            return Ok(None);
        }
    }
}

/// `None` for pushes about something else.
fn heard(frame: BytesFrame) -> Option<Heard> {
    let BytesFrame::Push { data, .. } = frame else { return Some(Heard::Answer(Reply::from_frame(frame))) };
    let mut parts = data.into_iter();
    let kind = parts.next()?;
    if !matches!(&kind, BytesFrame::BlobString { data, .. } | BytesFrame::SimpleString { data, .. } if data == "invalidate")
    {
        return None;
    }
    match parts.next()? {
        BytesFrame::Array { data, .. } => {
            let keys = data.into_iter().filter_map(|key| Reply::from_frame(key).ok()?.into_bytes());
            Some(Heard::Changed(keys.collect()))
        }
        _ => Some(Heard::Flushed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Vec<Heard> {
        let mut read = BytesMut::from(bytes);
        std::iter::from_fn(|| decode(&mut read).unwrap()).collect()
    }

    #[test]
    fn pushes_and_answers_are_told_apart() {
        let bytes = b">2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n+OK\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n\
                      >3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n-NOPERM no\r\n";
        assert_eq!(
            all(bytes),
            [
                Heard::Changed(vec!["a".into(), "b".into()]),
                Heard::Answer(Ok(Reply::Bytes("OK".into()))),
                Heard::Flushed,
                Heard::Answer(Err(Failure::Server("NOPERM".into()))),
            ]
        );
        for cut in 0..bytes.len() {
            assert!(all(&bytes[..cut]).len() <= 3, "half a frame is none");
        }
    }

    #[test]
    fn commands_are_arrays_of_bytes() {
        assert_eq!(encode(&[b"GET", b"a\r\n"]), &b"*2\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n"[..]);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'>'), Just(b'\r'), Just(b'\n'), Just(b'2')], 0..100)) {
            let mut read = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = decode(&mut read) {}
        }
    }
}
