//! Destroying a tenant's keys.

use std::{sync::Arc, time::Duration};

use memstache_core::{
    BoxFuture, ErasedService, Error, ErrorKind, Expected, Invalidate, Receipt, RecordKey, RecordPrefix, Response,
    Result, Target, TenantId, TenantKeys,
};

use super::{Inner, Keyring, owner::Purpose, record::KeyRecord};

/// For how long confirmations are waited for, unless told otherwise.
const WAIT: Duration = Duration::from_secs(5);

/// Destroys the keys of tenants, has all nodes let go of them, and clears what stacks hold of their values in the open.
///
/// A value that was sealed is dead once its key is. A near cache holds values that were opened before: its stack is told
/// that all of the tenant's entries are invalid, and tells its near caches, those of other nodes too, by the stream of
/// changes.
///
/// Every process puts its name down beside the key records before it has keys, lets go of a tenant's when it is told to, and
/// confirms that with a record. It is told by the watch of [`Keyring::run`], or by its next [`Keyring::refresh`]. Who has
/// not confirmed in time, because it is down, hangs or is cut off, stands in the receipt as unconfirmed, and can use what it holds until
/// [`effective_within`](Receipt::effective_within) has passed.
///
/// A tenant's own vault need not be there: what it wrapped is then erased as it is.
///
/// What the tenant writes afterwards has new keys. Blind names never wait for theirs: until the background has made a new one,
/// or [`Keyring::prepare`] has, its calls are [`Unavailable`](ErrorKind::Unavailable).
///
/// What this cannot reach: backups of the record store hold keys as the branch key wrapped them, until
/// [`rotate_branch`](super::KeyManagement::rotate_branch), [`rewrap`](super::KeyManagement::rewrap) and
/// [`retire_branch`](super::KeyManagement::retire_branch) end that branch key, and a rotation of the master key ends what
/// wrapped it. Records that are left say which keys there were, without the keys.
///
/// ```
/// use std::sync::Arc;
/// use memstache_core::{MemoryRecords, MemoryStore, Stack, TenantId, TenantKeys};
/// use memstache_crypto::{Keyring, Secret, Shredder, StaticProvider, SystemRandom};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let provider = StaticProvider::dangerous_from_secrets([Secret::random(&SystemRandom::new())?])?;
/// let keyring = Keyring::builder("prod", Arc::new(MemoryRecords::new()), Arc::new(provider)).open().await?;
/// let stack = Stack::over(MemoryStore::builder().build()?).build();
///
/// let shredder = Shredder::new(keyring).with_stack(stack);
/// let receipt = shredder.shred(&TenantId::new("acme")?).await?;
/// assert_eq!((receipt.cleared, receipt.not_cleared), (1, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Shredder {
    keyring: Keyring,
    stacks: Vec<ErasedService>,
    wait: Duration,
}

impl Shredder {
    /// Destroys keys of a keyring.
    pub fn new(keyring: Keyring) -> Self {
        Self { keyring, stacks: Vec::new(), wait: WAIT }
    }

    /// Sets for how long other nodes' confirmations are waited for. Zero: only those that are there at once count.
    /// Default: 5 s.
    #[must_use]
    pub fn with_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Clears a tenant's entries in a stack, too: in its store and its near cache, and in near caches elsewhere by the
    /// store's stream of changes.
    #[must_use]
    pub fn with_stack(mut self, stack: ErasedService) -> Self {
        self.stacks.push(stack);
        self
    }
}

impl TenantKeys for Shredder {
    fn shred<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Receipt>> {
        Box::pin(async move {
            // Keys first: what is cleared before could be opened and copied again.
            let mut receipt = self.keyring.0.shred(tenant, self.wait).await?;
            for stack in &self.stacks {
                let asked = stack.dispatch(Invalidate::one(Target::Tenant(tenant.clone()))).await;
                let done = matches!(asked, Ok(Response::Invalidated(items)) if items.iter().all(Result::is_ok));
                *(if done { &mut receipt.cleared } else { &mut receipt.not_cleared }) += 1;
            }
            Ok(receipt)
        })
    }
}

impl Inner {
    async fn shred(self: &Arc<Self>, tenant: &TenantId, wait: Duration) -> Result<Receipt> {
        let Some(node) = &self.node else {
            return Err(Error::new(ErrorKind::Invalid, "keys are destroyed by the keyring that nodes share"));
        };
        let mut receipt = Receipt::new(self.clock.wall());
        let prefix = self.settings.environment.tenant_prefix(Some(tenant.as_str()));
        let here = self.shred_below(&prefix, &mut receipt).await;
        let own = self.shred_own(tenant, &mut receipt).await;
        // Also after an error: what is gone is gone, and the rest has to be read again.
        let erased = !matches!(own, Ok(false));
        let tag = self.settings.environment.tenant_tag(Some(tenant.as_str()));
        receipt.lines = self.let_go(&tag, erased);
        let order = self.order(tag, erased).await;
        here.and(own)?;
        let followed = self.followed(order?, wait).await?;
        receipt.confirmed = [node.name().to_owned()].into_iter().chain(followed.confirmed).collect();
        if !followed.unconfirmed.is_empty() {
            receipt.effective_within = self.settings.usable();
        }
        receipt.unconfirmed = followed.unconfirmed;
        Ok(receipt)
    }

    /// Ends every line below a prefix.
    async fn shred_below(&self, prefix: &RecordPrefix, receipt: &mut Receipt) -> Result<()> {
        let mut outcome = Ok(());
        for (place, record) in self.records.list(prefix).await? {
            let purpose = KeyRecord::decode(&record.value).ok().map(|it| it.record.purpose);
            // All are tried: the more keys are gone, the better.
            if let Err(error) = self.shred_line(&place, purpose, receipt).await {
                outcome = outcome.and(Err(error));
            }
        }
        outcome
    }

    /// Ends what a tenant's own vault protects, whether or not the vault is there. Returns whether it was erased without an
    /// end to each key.
    async fn shred_own(self: &Arc<Self>, tenant: &TenantId, receipt: &mut Receipt) -> Result<bool> {
        let environment = self.settings.environment.of_vault(tenant);
        if self.records.list(&environment.prefix()).await?.is_empty() {
            return Ok(false);
        }
        let keeper = self.keeper(Some(tenant.as_str())).await;
        if let Some(keeper) = keeper.ok().filter(|keeper| keeper.only.is_some()) {
            let prefix = environment.tenant_prefix(Some(tenant.as_str()));
            if keeper.shred_below(&prefix, receipt).await.is_ok() {
                return Ok(false);
            }
        }
        self.erase(&environment.prefix(), receipt).await?;
        Ok(true)
    }

    /// Removes every record below a prefix, and sees that none is left.
    async fn erase(&self, prefix: &RecordPrefix, receipt: &mut Receipt) -> Result<()> {
        for (place, record) in self.records.list(prefix).await? {
            self.records.remove(&place, Expected::Any).await?;
            receipt.records += 1;
            let read = KeyRecord::decode(&record.value).ok();
            let live = read.iter().flat_map(|read| read.record.line.live());
            receipt.keys.extend(live.map(|version| *version.id.as_bytes()));
        }
        if self.records.list(prefix).await?.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Conflict, "the tenant got a new key meanwhile"))
    }

    /// Ends every version of a line. What is left says which keys there were, so that an old record that is put back is
    /// refused.
    async fn shred_line(&self, place: &RecordKey, purpose: Option<Purpose>, receipt: &mut Receipt) -> Result<()> {
        let (mut ended, mut orphaned) = (Vec::new(), false);
        let ending = match purpose {
            None => Err(Error::new(ErrorKind::Rejected, "the record is damaged")),
            Some(purpose) => {
                let now = self.wall();
                let change = self.change(purpose, place, 0, |image, _| {
                    // The branch key that wrapped it was retired.
                    orphaned = image.stored.is_some() && image.line.versions().is_empty();
                    ended = image.line.live().map(|version| version.id).collect();
                    for id in &ended {
                        image.line.revoke(*id, now);
                    }
                    Ok(!ended.is_empty())
                });
                change.await.map(drop)
            }
        };
        let ending = if orphaned { Err(Error::new(ErrorKind::Rejected, "its branch key is gone")) } else { ending };
        match ending {
            // Nobody vouches for it, so nobody can open what it might have been for: it goes as it is.
            Err(error) if error.kind() == ErrorKind::Rejected => {
                self.records.remove(place, Expected::Any).await?;
            }
            ending => ending?,
        }
        self.read_back(place).await?;
        receipt.records += 1;
        receipt.keys.extend(ended.iter().map(|id| *id.as_bytes()));
        Ok(())
    }

    /// Sees that no wrapped key is left.
    async fn read_back(&self, place: &RecordKey) -> Result<()> {
        let Some(record) = self.records.get(place).await? else { return Ok(()) };
        if KeyRecord::decode(&record.value)?.record.line.live().next().is_some() {
            return Err(Error::new(ErrorKind::Conflict, "the tenant got a new key meanwhile"));
        }
        Ok(())
    }
}
