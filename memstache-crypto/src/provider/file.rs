//! Master keys in a file that nobody else may read.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use data_encoding::BASE64;
use memstache_core::{Clock, SystemClock};
use zeroize::Zeroizing;

use super::{
    KeyProvider, MasterVersion, ProviderError, ProviderErrorKind, WrappedKey,
    environment::secret,
    invalid,
    local::{LocalKey, LocalKeys},
};
use crate::{
    key::Secret,
    random::{Random, SystemRandom},
};

/// Longest file: 64 versions.
const MAX_FILE: u64 = 64 * 1024;
/// How long a writer waits for another.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Master keys in a file of mode 0600: a line for each version, `NUMBER BASE64 CREATED`, the last in milliseconds since
/// 1970.
///
/// A file that others may read or that is a link is refused. It is read again at every call, so that all
/// processes see a rotation by any of them; `rotate` makes the file if there is none. Writers exclude each other by a lock
/// on a second file, and replace the file as a whole: a crash leaves the old one or the new one. For development, and for
/// machines whose disk is the vault. Needs a tokio runtime.
///
/// ```
/// use memstache_crypto::{FileProvider, KeyProvider};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), memstache_crypto::ProviderError> {
/// # let path = std::env::temp_dir().join(format!("memstache-doc-master-{}", std::process::id()));
/// let provider = FileProvider::new(&path);
/// assert_eq!(provider.rotate().await?.version(), "1");
/// # std::fs::remove_file(&path).ok();
/// # std::fs::remove_file(path.with_extension("lock")).ok();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FileProvider(Arc<Inner>);

struct Inner {
    path: PathBuf,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileKeys").finish_non_exhaustive()
    }
}

impl FileProvider {
    /// Uses a file; nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::with_clock(path, Arc::new(SystemClock::new()))
    }

    /// Like [`new`](Self::new), with the clock that says when a version was made.
    pub fn with_clock(path: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { path: path.into(), clock }))
    }

    async fn with_keys<T, F>(&self, work: F) -> Result<T, ProviderError>
    where
        T: Send + 'static,
        F: FnOnce(&LocalKeys) -> Result<T, ProviderError> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        blocking(move || work(&inner.read()?)).await
    }
}

#[async_trait]
impl KeyProvider for FileProvider {
    fn id(&self) -> &str {
        ID
    }

    async fn current(&self) -> Result<MasterVersion, ProviderError> {
        self.with_keys(LocalKeys::current).await
    }

    async fn wrap(&self, master: &MasterVersion, key: &Secret, aad: &[u8]) -> Result<WrappedKey, ProviderError> {
        let (master, key, aad) = (master.clone(), key.clone(), aad.to_vec());
        self.with_keys(move |keys| keys.wrap(ID, &master, &key, &aad)).await
    }

    async fn unwrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<Secret, ProviderError> {
        let (wrapped, aad) = (wrapped.clone(), aad.to_vec());
        self.with_keys(move |keys| keys.unwrap(&wrapped, &aad)).await
    }

    async fn rotate(&self) -> Result<MasterVersion, ProviderError> {
        let inner = Arc::clone(&self.0);
        blocking(move || inner.append()).await
    }
}

const ID: &str = "file";

impl Inner {
    fn read(&self) -> Result<LocalKeys, ProviderError> {
        let Some(text) = read_private(&self.path)? else { return Ok(LocalKeys::default()) };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let keys = lines.map(|(at, line)| parse(line).ok_or_else(|| wrong_line(at + 1))).collect::<Result<_, _>>()?;
        LocalKeys::new(keys)
    }

    fn append(&self) -> Result<MasterVersion, ProviderError> {
        let lock = private(OpenOptions::new().read(true).write(true).create(true).truncate(false))
            .open(self.path.with_extension("lock"))
            .map_err(failed)?;
        wait_for(&lock)?;
        let keys = self.read()?;
        let secret = Secret::random(&SystemRandom::new() as &dyn Random).map_err(|error| {
            ProviderError::new(ProviderErrorKind::Unavailable, "there is no randomness").with_source(error)
        })?;
        let number = keys.all().last().map_or(1, |key| key.number + 1);
        let mut all = keys.all().to_vec();
        all.push(LocalKey { number, secret, created_at: Some(self.clock.wall()) });
        let keys = LocalKeys::new(all)?;
        self.replace(&keys)?;
        keys.current()
    }

    fn replace(&self, keys: &LocalKeys) -> Result<(), ProviderError> {
        // Only the holder of the lock writes: one name is enough, and what a crash left is overwritten.
        let beside = self.path.with_extension("new");
        let mut text = Zeroizing::new(String::with_capacity(80 * keys.all().len()));
        keys.all().iter().for_each(|key| text.push_str(&print(key)));
        let write = || {
            let mut file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
            let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
        };
        write().map_err(failed)
    }
}

/// Reads a file that nobody else may read; `None` if there is none.
pub(super) fn read_private(path: &Path) -> Result<Option<Zeroizing<String>>, ProviderError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    check_access(path, &file)?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        return Err(invalid("master key file", format_args!("at most {MAX_FILE} bytes long"), "more"));
    }
    Ok(Some(text))
}

/// Reads `number base64 created`.
fn parse(line: &str) -> Option<LocalKey> {
    let mut words = line.split_ascii_whitespace();
    let number = words.next()?.parse().ok()?;
    let secret = secret(words.next()?)?;
    let created = Duration::from_millis(words.next()?.parse().ok()?);
    let known = words.next().is_none();
    known.then_some(LocalKey { number, secret, created_at: UNIX_EPOCH.checked_add(created) })
}

fn print(key: &LocalKey) -> Zeroizing<String> {
    let created = key.created_at.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
    let encoded = Zeroizing::new(BASE64.encode(key.secret.expose()));
    Zeroizing::new(format!("{} {} {}\n", key.number, *encoded, created.as_millis()))
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Refuses what others could read or have put there. The open file is asked, not the path: it cannot be swapped between.
#[cfg(unix)]
fn check_access(path: &Path, file: &File) -> Result<(), ProviderError> {
    use std::os::unix::fs::MetadataExt as _;

    let of_link = fs::symlink_metadata(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if of_link.file_type().is_symlink() || !meta.is_file() {
        return Err(invalid("master key file", "a regular file", "something else"));
    }
    let mode = meta.mode() & 0o777;
    if mode & 0o177 != 0 {
        return Err(invalid("mode of the master key file", "0600 or 0400", format_args!("{mode:04o}")));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_access(_: &Path, file: &File) -> Result<(), ProviderError> {
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(invalid("master key file", "a regular file", "something else"));
    }
    Ok(())
}

fn wrong_line(line: usize) -> ProviderError {
    invalid("master key file", "lines of NUMBER BASE64 CREATED", format_args!("something else in line {line}"))
}

fn failed(error: io::Error) -> ProviderError {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => ProviderErrorKind::Forbidden,
        io::ErrorKind::InvalidData => ProviderErrorKind::Invalid,
        _ => ProviderErrorKind::Unavailable,
    };
    ProviderError::new(kind, "the master key file").with_source(error)
}

/// Asks again and again instead of waiting in the kernel, so that a stuck process does not hang this one.
fn wait_for(lock: &File) -> Result<(), ProviderError> {
    let mut waited = Duration::ZERO;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) if waited >= LOCK_WAIT => {
                let detail = format!("the master key file was locked by another process for {LOCK_WAIT:?}");
                return Err(ProviderError::new(ProviderErrorKind::Unavailable, detail));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
        }
        waited += LOCK_PAUSE;
    }
}

/// Runs work on tokio's blocking threads; once begun, it runs to its end.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ProviderError> + Send + 'static,
) -> Result<T, ProviderError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(ProviderError::new(ProviderErrorKind::Unavailable, "the work on the file was torn down").with_source(error))
    })
}

#[cfg(test)]
mod tests {
    use memstache_core::testing::ManualClock;

    use super::*;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("memstache-file-provider-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("master")
        }

        fn provider(&self) -> FileProvider {
            FileProvider::with_clock(self.file(), Arc::new(ManualClock::new()))
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn versions_are_added_and_every_process_sees_them() {
        let place = Place::new("rotate");
        let (one, other) = (place.provider(), place.provider());
        assert_eq!(one.current().await.unwrap_err().kind(), ProviderErrorKind::NotFound);
        let first = one.rotate().await.unwrap();
        assert_eq!(first.created_at(), Some(UNIX_EPOCH + Duration::from_secs(1_000)));
        let key = Secret::from_bytes([9; 32]);
        let wrapped = one.wrap(&first, &key, b"a").await.unwrap();
        assert_eq!(other.rotate().await.unwrap().version(), "2");
        assert_eq!(one.current().await.unwrap().version(), "2");
        assert_eq!(other.unwrap(&wrapped, b"a").await.unwrap(), key);
        assert_eq!(other.unwrap(&wrapped, b"b").await.unwrap_err().kind(), ProviderErrorKind::Invalid);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_loses_a_version_to_another() {
        let place = Place::new("race");
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let provider = place.provider();
            writers.spawn(async move { provider.rotate().await.unwrap() });
        }
        let mut made: Vec<u32> = writers.join_all().await.iter().map(|it| it.version().parse().unwrap()).collect();
        made.sort_unstable();
        assert_eq!(made, [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn files_of_others_are_refused() {
        use std::os::unix::fs::PermissionsExt as _;

        let place = Place::new("mode");
        let provider = place.provider();
        provider.rotate().await.unwrap();
        let mode = |mode| fs::set_permissions(place.file(), fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(fs::metadata(place.file()).unwrap().permissions().mode() & 0o777, 0o600, "made so");
        for wrong in [0o640, 0o604, 0o660, 0o700] {
            mode(wrong);
            let error = provider.current().await.unwrap_err().to_string();
            let limit = "mode of the master key file must be 0600 or 0400";
            let expected = format!("the key provider failed (invalid): {limit}, but {wrong:04o} was given");
            assert_eq!(error, expected);
        }
        mode(0o400);
        provider.current().await.unwrap();
        let link = place.0.join("link");
        std::os::unix::fs::symlink(place.file(), &link).unwrap();
        let error = FileProvider::new(link).current().await.unwrap_err().to_string();
        assert!(error.ends_with("must be a regular file, but something else was given"), "{error}");
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_by_its_line_and_never_shown() {
        let place = Place::new("wrong");
        let provider = place.provider();
        provider.rotate().await.unwrap();
        let good = fs::read_to_string(place.file()).unwrap();
        for (text, line) in
            [(format!("{good}canary\n"), 2), (format!("\n{good}2 canary 0\n"), 3), (good.clone() + "2 AQEB 0", 2)]
        {
            fs::write(place.file(), text).unwrap();
            let error = provider.current().await.unwrap_err();
            let limit = "master key file must be lines of NUMBER BASE64 CREATED";
            let expected =
                format!("the key provider failed (invalid): {limit}, but something else in line {line} was given");
            assert_eq!(error.to_string(), expected);
        }
        fs::write(place.file(), "x".repeat(70_000)).unwrap();
        let error = provider.current().await.unwrap_err().to_string();
        assert!(error.ends_with("must be at most 65536 bytes long, but more was given"), "{error}");
        assert!(!format!("{provider:?}").contains("master-"));
    }
}
