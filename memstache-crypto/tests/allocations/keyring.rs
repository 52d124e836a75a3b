//! A key at hand costs no allocation, whatever was asked for before.

use std::sync::Arc;

use memstache_core::{KeyspaceName, MemoryRecords, Space, TenantId};
use memstache_crypto::{DataKeys, KeyClass, KeyLookup, Keyring, StaticProvider};

use crate::{counted, kit::secret};

#[tokio::test]
async fn a_key_at_hand_allocates_nothing() {
    let provider = StaticProvider::dangerous_from_secrets([secret(1)]).unwrap();
    let builder = Keyring::builder("test", Arc::new(MemoryRecords::new()), Arc::new(provider)).with_blind_names();
    let class = KeyClass::new("payments").unwrap();
    let keyring = builder.with_class("cards".try_into().unwrap(), class).open().await.unwrap();
    for keyspace in ["cards", "users"] {
        let space = Space::new(Some(&TenantId::new("acme").unwrap()), &KeyspaceName::new(keyspace).unwrap());
        keyring.prepare(&space).await.unwrap();
        let (sealing, count) = counted(|| keyring.sealing(&space));
        let KeyLookup::Ready(key) = sealing else { panic!("not at hand") };
        assert_eq!(count.times, 0, "to seal");
        let (opening, count) = counted(|| keyring.opening(&space, key.id()));
        assert!(matches!(opening, KeyLookup::Ready(_)));
        assert_eq!(count.times, 0, "to open");
        let (naming, count) = counted(|| keyring.naming(&space));
        assert!(naming.is_some());
        assert_eq!(count.times, 0, "to name");
    }
}
