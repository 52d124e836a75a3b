//! Reading records.

use bytes::{Buf, Bytes};
use memstache_core::{Error, ErrorKind, Record, RecordKey, RecordPrefix, Result};

use super::Inner;
use crate::{
    client::{Command, Reply},
    store::errors,
};

impl Inner {
    pub(super) async fn get(&self, key: &RecordKey) -> Result<Option<Record>> {
        let name = Bytes::copy_from_slice(key.as_str().as_bytes());
        match self.read(Command::new("HGET", [self.keys[0].clone(), name])).await? {
            Reply::Nil => Ok(None),
            Reply::Bytes(stored) => record(stored).map(Some),
            _ => Err(errors::protocol()),
        }
    }

    pub(super) async fn list(&self, prefix: &RecordPrefix) -> Result<Vec<(RecordKey, Record)>> {
        let reply = self.read(Command::new("HGETALL", [self.keys[0].clone()])).await?;
        let fields = reply.into_array().filter(|fields| fields.len() % 2 == 0).ok_or_else(errors::protocol)?;
        let mut fields = fields.into_iter().map(|field| field.into_bytes().ok_or_else(errors::protocol));
        let mut records = Vec::new();
        while let (Some(name), Some(stored)) = (fields.next(), fields.next()) {
            let name = name?;
            let key = std::str::from_utf8(&name).ok().and_then(|name| RecordKey::new(name).ok()).ok_or_else(damaged)?;
            if prefix.covers(&key) {
                records.push((key, record(stored?)?));
            }
        }
        records.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(records)
    }

    /// Sends a command that changes nothing, again while there is time.
    pub(super) async fn read(&self, command: Command) -> Result<Reply> {
        let (shared, deadline) = (self.shared(), self.deadline());
        let mut attempt = 1;
        loop {
            let left = deadline.since(shared.clock.now()).min(shared.settings.read_timeout);
            if left.is_zero() {
                return Err(errors::too_late());
            }
            match shared.client.send(self.slot, command.clone(), left).await {
                Ok(reply) => return Ok(reply),
                Err(failure) if failure.is_outage() && attempt < shared.settings.read_attempts => attempt += 1,
                Err(failure) => return Err(errors::of_read(&failure)),
            }
            shared.clock.sleep_until(shared.clock.now().after(shared.settings.backoff).min(deadline)).await;
        }
    }
}

/// Eight bytes of sequence, then the value.
fn record(mut stored: Bytes) -> Result<Record> {
    if stored.len() < 8 {
        return Err(damaged());
    }
    Ok(Record { sequence: stored.get_u64(), value: stored })
}

fn damaged() -> Error {
    Error::new(ErrorKind::Rejected, "a stored record is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_its_sequence_in_front() {
        let stored = Bytes::from(&b"\0\0\0\0\0\0\0\x07tea"[..]);
        assert_eq!(record(stored).unwrap(), Record { sequence: 7, value: "tea".into() });
        assert_eq!(record(Bytes::from("short")).unwrap_err().kind(), ErrorKind::Rejected);
    }
}
