//! Spans: one for each call through the stack, one for each load. None tells a key, a value or a tenant.

use tracing::{Span, field::Empty};

use super::{CallResult, OperationKind};
use crate::request::{Request, Target};

/// Opens the span of a call.
pub(super) fn call(operation: OperationKind, request: &Request) -> Span {
    macro_rules! span {
        ($name:literal) => {
            tracing::debug_span!(
                $name,
                memstache.keyspace = keyspace(request),
                memstache.items = request.len() as u64,
                memstache.result = Empty,
                "error.type" = Empty,
            )
        };
    }
    // A span's name is a constant of the place that opens it.
    match operation {
        OperationKind::Get => span!("memstache.get"),
        OperationKind::Set => span!("memstache.set"),
        OperationKind::Remove => span!("memstache.remove"),
        OperationKind::Touch => span!("memstache.touch"),
        OperationKind::Invalidate => span!("memstache.invalidate"),
        OperationKind::Explain => span!("memstache.explain"),
    }
}

/// Opens the span of a load of so many keys, within the one of the caller that starts it; or returns that one, where
/// nobody wants to see loads: what a load logs belongs to it.
pub(crate) fn load(keyspace: &str, items: usize) -> Span {
    let span = tracing::debug_span!(
        "memstache.load",
        memstache.keyspace = keyspace,
        memstache.items = items as u64,
        memstache.result = Empty,
        "error.type" = Empty,
    );
    if span.is_disabled() { Span::current() } else { span }
}

/// Notes in a span how what it stands for ended.
pub(crate) fn ended(span: &Span, result: CallResult) {
    if span.is_disabled() {
        return;
    }
    span.record("memstache.result", result.as_str());
    if let Some(kind) = result.error_type() {
        span.record("error.type", kind);
    }
}

/// The keyspace of the first item; batches have one.
fn keyspace(request: &Request) -> Option<&str> {
    let target = || match request {
        Request::Invalidate(op) => op.items.iter().find_map(|target| match target {
            Target::Tag(space, _) | Target::Space(space) => Some(space.keyspace()),
            Target::Tenant(_) => None,
        }),
        _ => None,
    };
    request.addresses().next().map(crate::address::Address::keyspace).or_else(target)
}
