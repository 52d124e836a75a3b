//! What a sealing layer has counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memstache_core::Striped;

use crate::envelope::Reason;

macro_rules! counters {
    (
        often { $($(#[$often_doc:meta])* $often:ident,)* }
        counts { $($(#[$count_doc:meta])* $count:ident,)* }
        rejected { $($(#[$doc:meta])* $name:ident: $reason:ident,)* }
    ) => {
        /// What a [`Seal`](crate::Seal) and its clones have counted. Each value that was not opened is under exactly one
        /// `rejected_…`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct SealStats {
            $($(#[$often_doc])* pub $often: u64,)*
            $($(#[$count_doc])* pub $count: u64,)*
            $($(#[$doc])* pub $name: u64,)*
        }

        impl SealStats {
            /// Returns how many values were not opened, for whatever reason.
            pub fn rejected(&self) -> u64 {
                0 $(+ self.$name)*
            }
        }

        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $often: Striped,)*
            $(pub(super) $count: AtomicU64,)*
            rejected: [AtomicU64; Reason::ALL.len()],
        }

        impl Counters {
            pub(super) fn snapshot(&self) -> SealStats {
                SealStats {
                    $($often: self.$often.sum(),)*
                    $($count: self.$count.load(Relaxed),)*
                    $($name: self.rejected[Reason::$reason as usize].load(Relaxed),)*
                }
            }
        }
    };
}

counters!(
    often {
        /// Values written sealed.
        sealed,
        /// Values read and opened.
        opened,
    }
    counts {
        /// Values written as they were: their keyspace is plain, and they did not ask to be sealed.
        left_plain,
        /// Values read as they were: their keyspace is plain, and so were they.
        read_plain,
        /// Calls that waited for a key.
        waited,
        /// Values not written: too long.
        refused_too_large,
        /// Values not written: they asked not to be sealed where everything is, or were sealed already.
        refused_policy,
        /// Values not written: their key could not be fetched.
        refused_key_unavailable,
        /// Values not written: there is no key to seal them with.
        refused_no_key,
        /// Values not written: there was no randomness, or the cipher refused them.
        refused_failed,
    }
    rejected {
        /// Values not opened: they do not begin as a sealed value does.
        rejected_magic: Magic,
        /// Values not opened: another version of the layout.
        rejected_version: Version,
        /// Values not opened: an unknown suite, or one that their key may not be used with.
        rejected_suite: Suite,
        /// Values not opened: unknown flags.
        rejected_flags: Flags,
        /// Values not opened: too short, or longer than is read.
        rejected_length: Length,
        /// Values not opened: their key is unknown.
        rejected_key_unknown: KeyUnknown,
        /// Values not opened: their key's time is over.
        rejected_key_retired: KeyRetired,
        /// Values not opened: their key was withdrawn.
        rejected_key_revoked: KeyRevoked,
        /// Values not opened: their key could not be fetched.
        rejected_key_unavailable: KeyUnavailable,
        /// Values not opened: sealed under another key with the same id.
        rejected_commitment: Commitment,
        /// Values not opened: changed, moved to another place, or sealed under another key.
        rejected_tag: Tag,
        /// Values not opened: their inner header is unknown.
        rejected_inner: Inner,
        /// Values not opened: kept past their deadline.
        rejected_expired: Expired,
        /// Values not opened: of an earlier generation.
        rejected_generation: Generation,
        /// Values not opened: not sealed where everything is. Somebody may have put them there.
        rejected_downgrade: Downgrade,
    }
);

impl Counters {
    /// Counts and traces a value that was not opened.
    pub(super) fn rejected(&self, reason: Reason) {
        self.rejected[reason as usize].fetch_add(1, Relaxed);
        tracing::debug!(reason = reason.as_str(), "a stored value was not opened");
    }
}

pub(super) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_one_counter_of_its_own() {
        let counters = Counters::default();
        for (before, reason) in Reason::ALL.into_iter().enumerate() {
            counters.rejected(reason);
            let stats = counters.snapshot();
            assert_eq!(stats.rejected(), before as u64 + 1);
            assert!(format!("{stats:?}").matches(": 1").count() == before + 1, "{}", reason.as_str());
            assert!(format!("{stats:?}").contains(&format!("rejected_{}: 1", reason.as_str())));
        }
    }
}
