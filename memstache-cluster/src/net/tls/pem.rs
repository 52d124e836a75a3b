//! Where certificates and keys are.

use std::{fmt, fs, path::PathBuf, time::SystemTime};

use memstache_core::{Error, ErrorKind, Result};

/// Longest PEM that is read: 1 MiB.
const MAX_PEM: u64 = 1 << 20;

/// PEM in memory or in a file, which is read again at each reload.
#[derive(Clone)]
pub struct Pem(Place);

#[derive(Clone)]
enum Place {
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// What tells that a file is another one than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    changed: Option<SystemTime>,
    len: u64,
}

impl Pem {
    /// Takes it from memory.
    pub fn bytes(pem: impl Into<Vec<u8>>) -> Self {
        Self(Place::Bytes(pem.into()))
    }

    /// Takes it from a file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Place::File(path.into()))
    }

    pub(super) fn read(&self, field: &'static str) -> Result<Vec<u8>> {
        let path = match &self.0 {
            Place::Bytes(pem) => return Ok(pem.clone()),
            Place::File(path) => path,
        };
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Io, format!("the file of {field} cannot be read: {}", error.kind()))
                .with_source(error)
        };
        let len = fs::metadata(path).map_err(failed)?.len();
        if len > MAX_PEM {
            return Err(Error::invalid(
                field,
                format_args!("at most {MAX_PEM} bytes long"),
                format_args!("{len} bytes"),
            ));
        }
        fs::read(path).map_err(failed)
    }

    /// What there is to see of the file; `None` for what is in memory, or away.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let Place::File(path) = &self.0 else { return None };
        let metadata = fs::metadata(path).ok()?;
        Some(Stamp { changed: metadata.modified().ok(), len: metadata.len() })
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Bytes(pem) => write!(f, "Pem({} bytes)", pem.len()),
            Place::File(path) => write!(f, "Pem({})", path.display()),
        }
    }
}
