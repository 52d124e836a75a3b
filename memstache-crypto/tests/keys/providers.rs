//! Keyrings over each provider, from nothing to a rotated master key.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use memstache_core::{ErrorKind, MemoryRecords, RecordStore};
#[cfg(feature = "rsa")]
use memstache_crypto::ProviderErrorKind;
use memstache_crypto::{EnvironmentProvider, FileProvider, KeyManagement, KeyProvider, Keyring, ProviderError};

use crate::kit::{World, opening, sealing, space};

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("memstache-keyring-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn open(records: &Arc<MemoryRecords>, provider: impl KeyProvider) -> memstache_core::Result<Keyring> {
    Keyring::builder("test", Arc::clone(records) as Arc<dyn RecordStore>, Arc::new(provider)).open().await
}

/// Keys that a node made under `old` are read by one under `new`, before and after the master key was replaced.
async fn survives(old: impl KeyProvider, new: impl KeyProvider + Clone) {
    let records = Arc::new(MemoryRecords::new());
    let space = space("acme", "products");
    let id = sealing(&open(&records, old).await.unwrap(), &space).await.unwrap();
    let node = open(&records, new.clone()).await.unwrap();
    assert_eq!(opening(&node, &space, id).await, Ok(id));
    let made = node.rotate_master_key(None).await.unwrap();
    assert_eq!(made.version(), new.current().await.unwrap().version());
    let again = open(&records, new).await.unwrap();
    assert_eq!(opening(&again, &space, id).await, Ok(id));
}

const ONE: &str = "1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const TWO: &str = "2:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

#[tokio::test]
async fn environment() {
    let old = EnvironmentProvider::from_text(ONE).unwrap();
    let new = EnvironmentProvider::from_text(&format!("{TWO},{ONE}")).unwrap();
    survives(old, new).await;
}

#[tokio::test]
async fn what_an_operator_has_to_rotate_says_so_when_there_is_nothing_new() {
    let records = Arc::new(MemoryRecords::new());
    let node = open(&records, EnvironmentProvider::from_text(ONE).unwrap()).await.unwrap();
    let error = node.rotate_master_key(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn file_from_nothing() {
    let place = Place::new("file");
    let provider = FileProvider::new(place.0.join("master"));
    let records = Arc::new(MemoryRecords::new());
    let error = open(&records, provider.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "nobody made a master key");
    let shared = Arc::clone(&records) as Arc<dyn RecordStore>;
    let builder = Keyring::builder("test", shared, Arc::new(provider.clone())).with_keys_at_start(false);
    let node = builder.open().await.unwrap();
    let made = node.generate_master_key().await.unwrap();
    assert_eq!((made.provider(), made.version(), made.is_current()), ("file", "1", true));
    assert_eq!(node.generate_master_key().await.unwrap_err().kind(), ErrorKind::Conflict);
    sealing(&node, &space("acme", "products")).await.unwrap();
    survives(provider.clone(), provider).await;
}

#[cfg(feature = "rsa")]
#[tokio::test]
async fn rsa() {
    use memstache_crypto::{RsaPrivateKey, RsaProvider};

    let pem = |bits| RsaPrivateKey::generate(bits).unwrap().dangerous_to_pem().unwrap();
    let (old, new) = (pem(2_048), pem(3_072));
    survives(RsaProvider::from_pem([&**old]).unwrap(), RsaProvider::from_pem([&**old, &**new]).unwrap()).await;

    let place = Place::new("rsa");
    let path = place.0.join("key.pem");
    fs::write(&path, &*old).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = RsaProvider::from_files([&path]).unwrap_err().to_string();
        assert!(error.ends_with("must be 0600 or 0400, but 0644 was given"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let provider = RsaProvider::from_files([&path]).unwrap();
    assert_eq!(provider.rotate().await.unwrap_err().kind(), ProviderErrorKind::Unsupported);
    let kind = |error: ProviderError| error.kind();
    let nothing: [&str; 0] = [];
    assert_eq!(RsaProvider::from_files([place.0.join("none")]).map_err(kind).unwrap_err(), ProviderErrorKind::NotFound);
    assert_eq!(RsaProvider::from_pem(nothing).map_err(kind).unwrap_err(), ProviderErrorKind::Invalid);
    assert_eq!(RsaProvider::from_pem(["canary"]).map_err(kind).unwrap_err(), ProviderErrorKind::Invalid);
    assert_eq!(RsaProvider::from_pem([&**old, &**old]).map_err(kind).unwrap_err(), ProviderErrorKind::Invalid);
    assert!(!format!("{provider:?}").contains(old.lines().nth(1).unwrap()));
}

#[tokio::test]
async fn a_vault_that_never_answers_is_given_up() {
    #[derive(Debug)]
    struct Silent;

    #[async_trait::async_trait]
    impl KeyProvider for Silent {
        fn id(&self) -> &str {
            "silent"
        }
        async fn current(&self) -> Result<memstache_crypto::MasterVersion, ProviderError> {
            std::future::pending().await
        }
        async fn wrap(
            &self,
            _: &memstache_crypto::MasterVersion,
            _: &memstache_crypto::Secret,
            _: &[u8],
        ) -> Result<memstache_crypto::WrappedKey, ProviderError> {
            std::future::pending().await
        }
        async fn unwrap(
            &self,
            _: &memstache_crypto::WrappedKey,
            _: &[u8],
        ) -> Result<memstache_crypto::Secret, ProviderError> {
            std::future::pending().await
        }
        async fn rotate(&self) -> Result<memstache_crypto::MasterVersion, ProviderError> {
            std::future::pending().await
        }
    }

    let world = World::new();
    let shared = Arc::clone(&world.records) as Arc<dyn RecordStore>;
    let builder = Keyring::builder("test", shared, Arc::new(Silent)).with_clock(Arc::new(world.clock.clone()));
    let opening = tokio::spawn(builder.open());
    while world.clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    world.clock.advance(Duration::from_secs(19));
    tokio::task::yield_now().await;
    assert!(!opening.is_finished());
    world.clock.advance(Duration::from_secs(1));
    let error = opening.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.retry_after().is_some());
}

#[tokio::test]
async fn settings_out_of_their_limits_are_named() {
    use crate::kit::{DAY, HOUR};

    let world = World::new();
    let message = async |builder: memstache_crypto::KeyringBuilder| builder.open().await.unwrap_err().to_string();
    let builder = || world.builder();
    for (builder, expected) in [
        (builder().with_refresh(Duration::ZERO), "refresh must be 1s to 3600s, but 0ns was given"),
        (builder().with_max_age(Duration::from_secs(1)), "max_age must be 600s to 86400s, but 1s was given"),
        (builder().with_max_stale(8 * DAY), "max_stale must be 0ns to 604800s, but 691200s was given"),
        (
            builder().with_derived_rotation(Duration::from_secs(1)),
            "derived_rotation must be 3600s to 315360000s, but 1s was given",
        ),
        (builder().with_master_rotation(HOUR), "master_rotation must be 86400s to 315360000s, but 3600s was given"),
        (builder().with_max_entry_ttl(Duration::ZERO), "max_entry_ttl must be 1ms to 315360000s, but 0ns was given"),
        (builder().with_max_lines(15), "max_lines must be 16 to 1048576, but 15 was given"),
        (
            builder().with_refresh(Duration::MAX).with_max_age(2 * DAY).with_max_lines(0),
            "refresh must be 1s to 3600s, but 18446744073709551615.999999999s was given; \
             max_age must be 86400s to 86400s, but 172800s was given; max_lines must be 16 to 1048576, but 0 was given",
        ),
    ] {
        assert_eq!(message(builder).await, expected);
    }
}
