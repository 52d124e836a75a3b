//! A directory of record files: blocking input and output, no memory of its own.
//!
//! A file never changes in place: the new one is written beside it, flushed, and renamed over it, and the directory is
//! flushed. So a reader needs no lock, and a crash leaves the old file or the new one.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use bytes::Bytes;

use super::layout::{self, RECORD_OVERHEAD, SEQUENCE_LEN};
use crate::{
    error::{Error, ErrorKind, Result},
    record::{Record, RecordKey, RecordPrefix},
};

const LOCK: &str = "lock";
const SEQUENCE: &str = "sequence";
/// One name is enough: only the holder of the lock writes. What a crash left is overwritten.
const TEMPORARY: &str = "temporary";
/// No other file ends so.
const RECORD_SUFFIX: &str = ".rec";
/// Stands for `/`, which is in no file name; itself it is in no key.
const SEPARATOR: &str = "+";

/// How often a lock that another process holds is asked for.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    pub(super) max_value: usize,
    lock_wait: Duration,
}

/// The right to read several files as they are at one moment; with it, [`Exclusive`] also to write.
#[derive(Debug)]
pub(super) struct Shared(#[expect(dead_code, reason = "held: dropping it unlocks")] File);

/// The right to write.
#[derive(Debug)]
pub(super) struct Exclusive(Shared);

impl std::ops::Deref for Exclusive {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Directory {
    /// Creates the directory and its sequence file if they are not there, and removes what a crash left.
    pub(super) fn open(path: PathBuf, max_value: usize, lock_wait: Duration) -> Result<Self> {
        access::create(&path)?;
        let directory = Self { path, max_value, lock_wait };
        let lock = directory.lock()?;
        directory.remove_file(TEMPORARY)?;
        if directory.read_file(SEQUENCE, SEQUENCE_LEN)?.is_none() {
            directory.begin(&lock)?;
        }
        Ok(directory)
    }

    /// Starts the sequence, but never again: below records that exist it would hand out numbers twice.
    fn begin(&self, lock: &Exclusive) -> Result<()> {
        if !self.names()?.is_empty() {
            return Err(Error::new(ErrorKind::Rejected, "there are record files, but their sequence file is missing"));
        }
        self.replace(lock, SEQUENCE, &layout::encode_sequence(0))
    }

    pub(super) fn lock(&self) -> Result<Exclusive> {
        self.locked(File::try_lock).map(|file| Exclusive(Shared(file)))
    }

    pub(super) fn lock_shared(&self) -> Result<Shared> {
        self.locked(File::try_lock_shared).map(Shared)
    }

    /// Asks again and again instead of waiting in the kernel, so that a stuck process does not hang this one.
    fn locked(&self, ask: impl Fn(&File) -> Result<(), TryLockError>) -> Result<File> {
        let file = access::private(OpenOptions::new().read(true).write(true).create(true).truncate(false))
            .open(self.path.join(LOCK))?;
        let mut waited = Duration::ZERO;
        loop {
            match ask(&file) {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error.into()),
                Err(TryLockError::WouldBlock) if waited >= self.lock_wait => return Err(self.still_locked()),
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            }
            waited += LOCK_PAUSE;
        }
    }

    fn still_locked(&self) -> Error {
        let detail = format!("the record directory was locked by another process for {:?}", self.lock_wait);
        Error::new(ErrorKind::Unavailable, detail)
    }

    /// The last sequence that was given out. Needs no lock.
    pub(super) fn sequence(&self) -> Result<u64> {
        match self.read_file(SEQUENCE, SEQUENCE_LEN)? {
            Some(bytes) => layout::decode_sequence(&bytes),
            None => Err(Error::new(ErrorKind::Rejected, "the sequence file is missing")),
        }
    }

    /// Gives out the next sequence, above `current` too; it is on disk before anything is written under it.
    pub(super) fn advance(&self, lock: &Exclusive, current: Option<u64>) -> Result<u64> {
        let last = self.sequence()?.max(current.unwrap_or_default());
        let next = last.checked_add(1).ok_or_else(|| Error::new(ErrorKind::Rejected, "the sequence is used up"))?;
        self.replace(lock, SEQUENCE, &layout::encode_sequence(next))?;
        Ok(next)
    }

    /// Reads a record. Needs no lock.
    pub(super) fn read(&self, key: &RecordKey) -> Result<Option<Record>> {
        let Some(bytes) = self.read_file(&file_name(key), self.max_value + RECORD_OVERHEAD)? else { return Ok(None) };
        let (found, record) = layout::decode_record(&bytes)?;
        if found != *key {
            return Err(Error::new(ErrorKind::Rejected, "the record file is damaged: it is another record's"));
        }
        Ok(Some(record))
    }

    /// Reads the records of a prefix, in order of their keys.
    pub(super) fn scan(&self, _: &Shared, prefix: &RecordPrefix) -> Result<Vec<(RecordKey, Record)>> {
        let names = self.names()?;
        let mut records = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let Some(key) = key_of(name).filter(|key| prefix.covers(key)) else { continue };
            let record = self.read(&key).map_err(|error| {
                // The place in a sorted listing leads an operator to the file without naming the record.
                let detail = format!("record file {} of {} in order of name: {error}", at + 1, names.len());
                Error::new(error.kind(), detail)
            })?;
            records.extend(record.map(|record| (key, record)));
        }
        records.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        Ok(records)
    }

    pub(super) fn write(&self, lock: &Exclusive, key: &RecordKey, record: &Record) -> Result<()> {
        self.replace(lock, &file_name(key), &layout::encode_record(key, record))
    }

    pub(super) fn remove(&self, _: &Exclusive, key: &RecordKey) -> Result<()> {
        self.remove_file(&file_name(key))?;
        self.flush()
    }

    /// The names of all record files, sorted.
    fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for file in fs::read_dir(&self.path)? {
            let name = file?.file_name().into_string().ok();
            names.extend(name.filter(|name| name.ends_with(RECORD_SUFFIX)));
        }
        names.sort_unstable();
        Ok(names)
    }

    fn read_file(&self, name: &str, limit: usize) -> Result<Option<Bytes>> {
        let file = match File::open(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            let detail = format!("a file of the record directory must be at most {limit} bytes long, but it is longer");
            return Err(Error::new(ErrorKind::TooLarge, detail));
        }
        Ok(Some(bytes.into()))
    }

    fn replace(&self, _: &Exclusive, name: &str, bytes: &[u8]) -> Result<()> {
        self.remove_file(TEMPORARY)?;
        let temporary = self.path.join(TEMPORARY);
        let mut file = access::private(OpenOptions::new().write(true).create_new(true)).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, self.path.join(name))?;
        self.flush()
    }

    fn remove_file(&self, name: &str) -> Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => Ok(result?),
        }
    }

    /// Makes renames and removals outlive a crash of the machine.
    fn flush(&self) -> Result<()> {
        access::sync(&self.path).map_err(|error| {
            let detail = "the record directory could not be flushed: the change may not outlive a crash";
            Error::new(ErrorKind::Unknown, detail).with_source(error)
        })
    }
}

fn file_name(key: &RecordKey) -> String {
    key.as_str().replace('/', SEPARATOR) + RECORD_SUFFIX
}

fn key_of(file_name: &str) -> Option<RecordKey> {
    RecordKey::new(file_name.strip_suffix(RECORD_SUFFIX)?.replace(SEPARATOR, "/")).ok()
}

/// Who may open what: the owner alone.
#[cfg(unix)]
mod access {
    use std::{
        fs::DirBuilder,
        os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    };

    use super::*;

    /// Creates the directory; one that others may enter is refused, since what is in it cannot be trusted.
    pub(super) fn create(path: &Path) -> Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let mode = fs::metadata(path)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let given = format_args!("mode {mode:04o}");
            return Err(Error::invalid("record directory", "closed to group and others (mode 0700)", given));
        }
        Ok(())
    }

    pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
        options.mode(0o600)
    }

    pub(super) fn sync(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Rights are inherited from the parent directory, and renames cannot be flushed.
#[cfg(not(unix))]
mod access {
    use super::*;

    pub(super) fn create(path: &Path) -> Result<()> {
        Ok(fs::create_dir_all(path)?)
    }

    pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
        options
    }

    pub(super) fn sync(_: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn file_names_lead_back_to_their_keys(text in "[A-Za-z0-9_-]{1,9}(/[a-z.]{1,9}x){0,3}") {
            let key = RecordKey::new(text).unwrap();
            prop_assert_eq!(key_of(&file_name(&key)), Some(key));
        }
    }
}
