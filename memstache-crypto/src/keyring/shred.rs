//! Destroying a tenant's keys.

use std::sync::Arc;

use memstache_core::{
    BoxFuture, ErasedService, Error, ErrorKind, Expected, Invalidate, Receipt, RecordKey, Response, Result, Target,
    TenantId, TenantKeys,
};

use super::{Inner, Keyring, lines::Kept, owner::Purpose, record::KeyRecord, table::Reason};
use crate::key::{DataKey, NameKey};

/// Destroys the keys of tenants, and clears what stacks hold of their values in the open.
///
/// A value that was sealed is dead once its key is. A near cache holds values that were opened before: its stack is told
/// that all of the tenant's entries are invalid, and tells its near caches, those of other nodes too, by the stream of
/// changes.
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
}

impl Shredder {
    /// Destroys keys of a keyring.
    pub fn new(keyring: Keyring) -> Self {
        Self { keyring, stacks: Vec::new() }
    }

    /// Clears a tenant's entries in a stack, too.
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
            let mut receipt = self.keyring.0.shred(tenant).await?;
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
    async fn shred(self: &Arc<Self>, tenant: &TenantId) -> Result<Receipt> {
        let mut receipt = Receipt::new(self.clock.wall());
        receipt.effective_within = self.settings.usable();
        let prefix = self.settings.environment.tenant_prefix(Some(tenant.as_str()));
        let mut outcome = Ok(());
        for (place, record) in self.records.list(&prefix).await? {
            let purpose = KeyRecord::decode(&record.value).ok().map(|it| it.record.purpose);
            // All are tried: the more keys are gone, the better.
            if let Err(error) = self.shred_line(&place, purpose, &mut receipt).await {
                outcome = outcome.and(Err(error));
            }
        }
        let dropped = self.drop_lines::<DataKey>(tenant).await;
        let names = self.drop_lines::<NameKey>(tenant).await;
        outcome.and(dropped).and(names).map(|()| receipt)
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

    /// Lets go of what is at hand, by reading it again.
    async fn drop_lines<K: Kept>(self: &Arc<Self>, tenant: &TenantId) -> Result<()> {
        let all = K::table(self).all().into_iter();
        for held in all.filter(|held| held.owner.tenant_name() == Some(tenant.as_str())) {
            self.bring_anew::<K>(held.owner.clone(), Reason::Open).await?;
        }
        Ok(())
    }
}
