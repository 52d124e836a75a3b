//! What a server answers, free of any client's types.

use bytes::Bytes;
use redis_protocol::resp3::types::BytesFrame;

use super::Failure;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Nil,
    Int(i64),
    Bytes(Bytes),
    Array(Vec<Self>),
}

impl Reply {
    /// Turns a frame into an answer, or into why there is none.
    pub(crate) fn from_frame(frame: BytesFrame) -> Result<Self, Failure> {
        Ok(match frame {
            BytesFrame::Null => Self::Nil,
            BytesFrame::Number { data, .. } => Self::Int(data),
            BytesFrame::Boolean { data, .. } => Self::Int(i64::from(data)),
            BytesFrame::BlobString { data, .. }
            | BytesFrame::SimpleString { data, .. }
            | BytesFrame::VerbatimString { data, .. }
            | BytesFrame::BigNumber { data, .. } => Self::Bytes(data),
            BytesFrame::Double { data, .. } => Self::Bytes(data.to_string().into()),
            BytesFrame::Array { data, .. } | BytesFrame::Push { data, .. } => Self::Array(all(data)?),
            BytesFrame::Set { data, .. } => Self::Array(all(data)?),
            BytesFrame::Map { data, .. } => Self::Array(all(data.into_iter().flat_map(|(key, value)| [key, value]))?),
            BytesFrame::SimpleError { data, .. } => return Err(refused(data.as_bytes())),
            BytesFrame::BlobError { data, .. } => return Err(refused(&data)),
            BytesFrame::Hello { .. } | BytesFrame::ChunkedString(_) => return Err(Failure::Protocol),
        })
    }

    pub(crate) fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(number) => u64::try_from(*number).ok(),
            Self::Bytes(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            Self::Nil | Self::Array(_) => None,
        }
    }

    /// Reads what `TIME` answers, in µs.
    pub(crate) fn as_time(&self) -> Option<u64> {
        let Self::Array(parts) = self else { return None };
        let [seconds, micros] = parts.as_slice() else { return None };
        seconds.as_u64()?.checked_mul(1_000_000)?.checked_add(micros.as_u64()?)
    }

    pub(crate) fn into_bytes(self) -> Option<Bytes> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    pub(crate) fn into_array(self) -> Option<Vec<Self>> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }
}

fn all(frames: impl IntoIterator<Item = BytesFrame>) -> Result<Vec<Reply>, Failure> {
    frames.into_iter().map(Reply::from_frame).collect()
}

/// Keeps the first word only: what follows may quote a key.
fn refused(message: &[u8]) -> Failure {
    let word = message.split(|byte| *byte == b' ').next().unwrap_or_default();
    let good = !word.is_empty() && word.len() <= 32 && word.iter().all(u8::is_ascii_alphanumeric);
    Failure::Server(if good { String::from_utf8_lossy(word).into_owned() } else { "ERR".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_keep_their_first_word() {
        let code = |text: &str| {
            let frame = BytesFrame::SimpleError { data: text.to_owned().into(), attributes: None };
            Reply::from_frame(frame).unwrap_err()
        };
        assert_eq!(code("NOSCRIPT No matching script."), Failure::Server("NOSCRIPT".into()));
        assert_eq!(code("MOVED 12 secret:6379"), Failure::Server("MOVED".into()));
        assert_eq!(code("secret-key is bad"), Failure::Server("ERR".into()), "no word of a server's");
        assert_eq!(code(""), Failure::Server("ERR".into()));
    }

    #[test]
    fn numbers_come_as_numbers_or_text() {
        assert_eq!(Reply::Int(7).as_u64(), Some(7));
        assert_eq!(Reply::Bytes("7".into()).as_u64(), Some(7));
        assert_eq!(Reply::Int(-7).as_u64(), None);
        assert_eq!(Reply::Nil.as_u64(), None);
        let time =
            |parts: &[&'static str]| Reply::Array(parts.iter().map(|part| Reply::Bytes((*part).into())).collect());
        assert_eq!(time(&["12", "000345"]).as_time(), Some(12_000_345));
        assert_eq!([time(&["12"]), time(&["12", "x"]), Reply::Int(12)].map(|reply| reply.as_time()), [None; 3]);
    }
}
