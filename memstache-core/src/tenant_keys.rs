//! Destroying the keys of a tenant, and with them everything that they sealed.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{clock::BoxFuture, error::Result, name::TenantId};

/// Keys that can be destroyed for one tenant: what they sealed cannot be read any more, wherever a copy of it is.
///
/// ```
/// use memstache_core::{Result, TenantId, TenantKeys};
///
/// async fn forget(keys: &dyn TenantKeys, tenant: &TenantId) -> Result<()> {
///     let receipt = keys.shred(tenant).await?;
///     println!("{} keys destroyed, everywhere within {:?}", receipt.keys.len(), receipt.effective_within);
///     Ok(())
/// }
/// ```
pub trait TenantKeys: fmt::Debug + Send + Sync + 'static {
    /// Destroys all keys of a tenant, and says what was done.
    ///
    /// Doing it again is harmless, and the way to go on after an error. A tenant without keys gets a receipt of none. What is
    /// written for the tenant afterwards is sealed with new keys.
    ///
    /// Errors: those of the place where keys are kept, when not all could be destroyed.
    ///
    /// # Cancellation
    /// Dropping the future leaves some keys destroyed, others not: do it again.
    fn shred<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Receipt>>;
}

impl<K: TenantKeys + ?Sized> TenantKeys for Arc<K> {
    fn shred<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Receipt>> {
        K::shred(self, tenant)
    }
}

/// What was destroyed, and what of that is certain. It names keys by their ids, and no tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// When it was done.
    pub at: SystemTime,
    /// The ids of the keys that were destroyed now.
    pub keys: Vec<[u8; 16]>,
    /// Records that were erased and read back to be so.
    pub records: usize,
    /// Families of keys that were at hand in this process, and are not any more.
    pub lines: usize,
    /// Stacks whose copies of the tenant's values were invalidated: in the store, and in the near cache above it.
    pub cleared: usize,
    /// Stacks for which that failed: their copies live until they expire.
    pub not_cleared: usize,
    /// Nodes that have said that they hold none of the keys any more; this process is the first.
    pub confirmed: Vec<String>,
    /// Nodes that may hold some, and have not said so in time: they are down, hang or cannot be reached.
    pub unconfirmed: Vec<String>,
    /// By when nodes that have not confirmed cannot use what they hold; zero when all have.
    pub effective_within: Duration,
}

impl Receipt {
    /// Begins a receipt.
    pub const fn new(at: SystemTime) -> Self {
        Self {
            at,
            keys: Vec::new(),
            records: 0,
            lines: 0,
            cleared: 0,
            not_cleared: 0,
            confirmed: Vec::new(),
            unconfirmed: Vec::new(),
            effective_within: Duration::ZERO,
        }
    }

    /// Returns whether nothing is left to wait for: all nodes have confirmed, and all stacks were cleared.
    pub const fn is_complete(&self) -> bool {
        self.unconfirmed.is_empty() && self.not_cleared == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct None;

    impl TenantKeys for None {
        fn shred<'a>(&'a self, _: &'a TenantId) -> BoxFuture<'a, Result<Receipt>> {
            Box::pin(async { Ok(Receipt::new(SystemTime::UNIX_EPOCH)) })
        }
    }

    #[tokio::test]
    async fn the_trait_is_object_safe_and_a_receipt_begins_empty() {
        let keys: Arc<dyn TenantKeys> = Arc::new(None);
        let receipt = Arc::new(keys).shred(&TenantId::new("acme").unwrap()).await.unwrap();
        assert_eq!((receipt.keys.len(), receipt.records, receipt.lines, receipt.cleared), (0, 0, 0, 0));
        assert!(receipt.is_complete() && receipt.confirmed.is_empty());
        let mut receipt = receipt;
        receipt.unconfirmed.push("node".to_owned());
        assert!(!receipt.is_complete());
        (receipt.unconfirmed, receipt.not_cleared) = (Vec::new(), 1);
        assert!(!receipt.is_complete());
    }
}
