//! The vault in a file that nobody else may read.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use memstache_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use super::{failure::Failure, vault::State};

/// Longest file, in bytes.
const MAX: u64 = 512 * 1024 * 1024;

/// Where a vault's state is kept, as JSON. Private keys are in it as they are: it has mode 0600, and is for development.
pub(super) struct StateFile {
    path: PathBuf,
    /// Held as long as the vault is: two emulators on one file would overwrite each other.
    _lock: File,
}

impl fmt::Debug for StateFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateFile(..)")
    }
}

impl StateFile {
    /// Locks the file for this process.
    pub(super) fn lock(path: &Path) -> Result<Self> {
        let lock = private(OpenOptions::new().write(true).create(true).truncate(false))
            .open(path.beside("lock"))
            .map_err(|error| failed("the state file's lock cannot be opened", error))?;
        lock.try_lock().map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the state file is in use by another emulator").with_source(error)
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Reads the state; `None` while there is no file.
    pub(super) fn read(&self) -> Result<Option<State>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("the state file cannot be opened", error)),
        };
        check_mode(&file)?;
        let mut text = Zeroizing::new(Vec::new());
        file.take(MAX + 1).read_to_end(&mut text).map_err(|error| failed("the state file cannot be read", error))?;
        if text.len() as u64 > MAX {
            return Err(Error::invalid("state file", format_args!("at most {MAX} bytes long"), "more"));
        }
        let state: Option<State> = serde_json::from_slice(&text).ok();
        let sound = state.filter(State::is_sound);
        sound.map(Some).ok_or_else(|| Error::invalid("state file", "one that the emulator wrote", "something else"))
    }

    /// Replaces the file as a whole: a crash leaves the old one or the new one.
    pub(super) fn write(&self, state: &State) -> std::result::Result<(), Failure> {
        let text = serde_json::to_vec(state).map(Zeroizing::new);
        let text = text.map_err(|_| Failure::internal("The state could not be encoded."))?;
        self.replace(&text).map_err(|_| Failure::internal("The state could not be written to its file."))
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        // Only the holder of the lock writes: one name is enough, and what a crash left is overwritten.
        let beside = self.path.beside("new");
        let mut file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }
}

/// `vault.json` and `lock` make `vault.json.lock`.
trait Beside {
    fn beside(&self, extension: &str) -> PathBuf;
}

impl Beside for Path {
    fn beside(&self, extension: &str) -> PathBuf {
        let mut name = self.as_os_str().to_owned();
        name.push(".");
        name.push(extension);
        name.into()
    }
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Refuses what others could read. The open file is asked, not the path: it cannot be swapped between.
#[cfg(unix)]
fn check_mode(file: &File) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let meta = file.metadata().map_err(|error| failed("the state file cannot be read", error))?;
    let mode = meta.mode() & 0o777;
    if !meta.is_file() || mode & 0o177 != 0 {
        return Err(Error::invalid("state file", "a regular file of mode 0600", format_args!("mode {mode:04o}")));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &File) -> Result<()> {
    Ok(())
}

fn failed(what: &'static str, error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, what).with_source(error)
}
