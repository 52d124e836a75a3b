//! What a compressing layer has counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memstache_core::Striped;

macro_rules! counters {
    (
        often { $($(#[$often_doc:meta])* $often:ident,)* }
        counts { $($(#[$doc:meta])* $name:ident,)* }
    ) => {
        /// What a [`Compress`](crate::Compress) and its clones have counted.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct CompressStats {
            $($(#[$often_doc])* pub $often: u64,)*
            $($(#[$doc])* pub $name: u64,)*
        }

        /// Away from what every call reads: a count would take its line from the other threads.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(super) struct Counters {
            $(pub(super) $often: Striped,)*
            $(pub(super) $name: AtomicU64,)*
        }

        impl Counters {
            pub(super) fn snapshot(&self) -> CompressStats {
                CompressStats {
                    $($often: self.$often.sum(),)*
                    $($name: self.$name.load(Relaxed),)*
                }
            }
        }
    };
}

counters!(
    often {
        /// Values written compressed.
        compressed,
        /// Their bytes before.
        bytes_plain,
        /// Their bytes after.
        bytes_compressed,
        /// Values read and decompressed.
        decompressed,
    }
    counts {
        /// Values written as they were: below the threshold.
        skipped_small,
        /// Values written as they were: the entry's option or the predicate said so, or they may not be read that large.
        skipped_asked,
        /// Values written as they were: they looked compressed already.
        skipped_dense,
        /// Values written as they were: compressed they were not smaller by the margin.
        skipped_no_gain,
        /// Values written as they were: the compressor failed.
        skipped_failed,
        /// Values refused: larger than may be read, or than their bytes can be.
        rejected_bombs,
        /// Values refused: with them the call would have decompressed more than one call may. They may be sound.
        rejected_by_call,
        /// Values refused: not what their header says.
        rejected_broken,
        /// Values refused: this build lacks the compressor.
        rejected_unsupported,
        /// Values refused: their dictionary is not here.
        rejected_dictionary,
        /// Calls whose work was done off the async threads.
        offloaded,
    }
);

pub(super) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
