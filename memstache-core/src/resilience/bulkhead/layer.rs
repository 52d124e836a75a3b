use tower_layer::Layer;

use super::Bulkhead;
use crate::{
    error::{Error, Result},
    request::Request,
    resilience::{LimitSnapshot, share::Shares},
};

/// Least bytes that a bulkhead may have.
const LEAST: usize = 64 * 1024;
/// What an item takes beside its key and its value: the request, its futures, the leaf's own record of it.
const BESIDE: usize = 512;
/// What a read is charged for the answer that is still to come.
const ANSWER: usize = 4 * 1024;

/// Bounds the bytes of all calls under way; the others are [`Overloaded`](crate::ErrorKind::Overloaded) at once.
///
/// An item is charged with its key, its value and 512 bytes; a read with 4 KiB for the answer, whose length nobody
/// knows. A call that is larger than the whole bulkhead takes all of it. All stacks that are made by clones of the
/// layer share it.
///
/// What [carries on or ends loads](crate::Request::continues_loads) is never refused and charged with nothing: the bytes
/// of fills are bounded by [`max_loads`](crate::CacheBuilder::max_loads). Reads that [wait](crate::OnMiss::Wait) for the
/// loads of others have as many bytes again for themselves.
///
/// Right: beside the limit, below the near cache, above the transforms.
///
/// ```
/// use memstache_core::{MemoryStore, Stack, resilience::BulkheadLayer};
///
/// let stack = Stack::over(MemoryStore::builder().build()?).limit(BulkheadLayer::new(16 << 20)?).build();
/// # let _ = stack;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BulkheadLayer(Option<Shares>);

impl BulkheadLayer {
    /// Creates the layer for so many bytes; at least 64 KiB.
    pub fn new(bytes: usize) -> Result<Self> {
        Self::check(bytes)?;
        Ok(Self(Some(Shares::new(bytes, "too many bytes are under way"))))
    }

    /// Creates a layer that lets everything through.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Returns how many bytes are under way, and how many calls were shed.
    pub fn snapshot(&self) -> LimitSnapshot {
        self.0.as_ref().map(Shares::snapshot).unwrap_or_default()
    }

    pub(crate) fn check(bytes: usize) -> Result<()> {
        if bytes < LEAST {
            return Err(Error::invalid("bulkhead bytes", format_args!("at least {LEAST}"), bytes));
        }
        Ok(())
    }

    pub(super) const fn shares(&self) -> Option<&Shares> {
        self.0.as_ref()
    }
}

/// Returns what a call is charged with.
pub(super) fn charge(request: &Request) -> usize {
    let keys: usize = request.addresses().map(|address| address.stored().len()).sum();
    let each = match request {
        Request::Get(_) | Request::Explain(_) => ANSWER,
        Request::Set(_) | Request::Remove(_) | Request::Touch(_) | Request::Invalidate(_) => 0,
    };
    let values: usize = match request {
        Request::Set(op) => op.items.iter().map(|item| item.entry.value.len()).sum(),
        _ => 0,
    };
    keys.saturating_add(values).saturating_add(request.len().saturating_mul(each + BESIDE))
}

impl<S> Layer<S> for BulkheadLayer {
    type Service = Bulkhead<S>;

    fn layer(&self, inner: S) -> Bulkhead<S> {
        Bulkhead::new(inner, self.clone())
    }
}
