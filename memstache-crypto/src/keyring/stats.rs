//! Numbers about a keyring.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// What a keyring did and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyringStats {
    /// Lines at hand: a line is all versions of one key.
    pub lines: usize,
    /// Refreshes that were done.
    pub refreshes: u64,
    /// Refreshes of which a part failed.
    pub failed_refreshes: u64,
    /// Calls to the key provider; not those to vaults of tenants: see [`Keyring::of`](super::Keyring::of).
    pub provider_calls: u64,
    /// Calls to the key provider that failed.
    pub failed_provider_calls: u64,
    /// Records that nobody vouched for, or that were put back.
    pub refused_records: u64,
    /// How long ago the provider last unwrapped the branch keys; `None` while there are none.
    pub key_age: Option<Duration>,
    /// Vaults of tenants that are held.
    pub tenant_vaults: usize,
    /// Those among them whose branch keys are not at hand: their tenants have no keys.
    pub failed_tenant_vaults: usize,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    refreshes: AtomicU64,
    failed_refreshes: AtomicU64,
    refused_records: AtomicU64,
}

impl Counters {
    pub(super) fn refreshed(&self, ok: bool) {
        self.refreshes.fetch_add(1, Ordering::Relaxed);
        self.failed_refreshes.fetch_add(u64::from(!ok), Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused_records.fetch_add(1, Ordering::Relaxed);
        tracing::error!("a key record was refused");
    }

    pub(super) fn read(&self) -> KeyringStats {
        KeyringStats {
            refreshes: self.refreshes.load(Ordering::Relaxed),
            failed_refreshes: self.failed_refreshes.load(Ordering::Relaxed),
            refused_records: self.refused_records.load(Ordering::Relaxed),
            ..KeyringStats::default()
        }
    }
}
