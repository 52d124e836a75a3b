//! A key that entries are sealed with.

use std::fmt;

use super::{KeyId, Secret};
use crate::backend::Prks;

/// A key that the values of a (tenant, keyspace) are sealed with: never directly, but by keys derived for entries.
///
/// `Debug` shows its id.
pub struct DataKey {
    id: KeyId,
    committing: bool,
    prks: Prks,
}

impl DataKey {
    /// Makes a key of a secret, and its id.
    ///
    /// A key that is loaded under an id from elsewhere must be compared with [`id`](Self::id): this is what binds them.
    #[expect(clippy::needless_pass_by_value, reason = "the secret ends here")]
    pub fn new(secret: Secret) -> Self {
        Self { id: KeyId::of(&secret), committing: false, prks: Prks::new(&secret) }
    }

    /// Says whether only the suites with an explicit commitment may be used: for keys that a tenant brings, who could
    /// choose two that open the same bytes. Default: any suite.
    #[must_use]
    pub fn committing(mut self, committing: bool) -> Self {
        self.committing = committing;
        self
    }

    /// Returns the key's id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn id_bytes(&self) -> &[u8; KeyId::LEN] {
        self.id.as_bytes()
    }

    /// Returns whether only committing suites may be used.
    pub fn is_committing(&self) -> bool {
        self.committing
    }

    /// The prepared pseudorandom key, for each backend.
    pub(crate) fn prks(&self) -> &Prks {
        &self.prks
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey").field("id", &self.id).field("committing", &self.committing).finish_non_exhaustive()
    }
}
