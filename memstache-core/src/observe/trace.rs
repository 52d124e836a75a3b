//! Which span a call to another process belongs to.

use std::{fmt, str::FromStr};

use crate::error::{Error, Result};

/// The identity of a span, as [W3C Trace Context](https://www.w3.org/TR/trace-context/) has it.
///
/// ```
/// use memstache_core::observe::TraceContext;
///
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context: TraceContext = header.parse()?;
/// assert!(context.is_sampled());
/// assert_eq!(context.to_string(), header);
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// Which trace; not zero.
    pub trace_id: u128,
    /// Which span of it; not zero.
    pub span_id: u64,
    /// Bit 0: sampled.
    pub flags: u8,
}

impl TraceContext {
    /// Returns whether the trace is sampled: whether anybody keeps its spans.
    pub const fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

impl fmt::Display for TraceContext {
    /// As the header `traceparent`, version 00.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl FromStr for TraceContext {
    type Err = Error;

    /// Parses the header `traceparent`, version 00.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid("traceparent", "of the form 00-<32 hex>-<16 hex>-<2 hex>", "another text");
        let part = |from: usize, to: usize| {
            let part =
                text.get(from..to).filter(|part| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
            part.and_then(|part| u128::from_str_radix(part, 16).ok()).ok_or_else(wrong)
        };
        let dashes = [2, 35, 52].into_iter().all(|at| text.as_bytes().get(at) == Some(&b'-'));
        if text.len() != 55 || !text.starts_with("00") || !dashes {
            return Err(wrong());
        }
        let (trace_id, span_id, flags) = (part(3, 35)?, part(36, 52)?, part(53, 55)?);
        if trace_id == 0 || span_id == 0 {
            return Err(wrong());
        }
        // Of 16 and 2 digits.
        Ok(Self { trace_id, span_id: span_id as u64, flags: flags as u8 })
    }
}

/// Knows which span is the current one, for calls that go to other processes.
///
/// `SpanLayer` of the telemetry (feature `otlp`) is one. For another tracer, write one: three lines that ask it for its context.
pub trait Propagator: fmt::Debug + Send + Sync + 'static {
    /// Returns the context of the current span, if there is one and it is kept.
    fn current(&self) -> Option<TraceContext>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_well_formed_is_a_context() {
        let context = TraceContext { trace_id: 7, span_id: u64::MAX, flags: 0 };
        assert_eq!(context.to_string().parse::<TraceContext>().unwrap(), context);
        assert!(!context.is_sampled());
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for wrong in [
            "",
            &good[1..],
            &good.replace("00-4b", "01-4b"),
            &good.replace('-', "_"),
            &good.to_uppercase(),
            &good.replace("4bf9", "4bg9"),
            &good.replace("4bf9", "+bf9"),
            &format!("00-{:032x}-{:016x}-01", 0, 1),
            &format!("00-{:032x}-{:016x}-01", 1, 0),
            &format!("{good}-x"),
            &format!("{}é", &good[..53]),
        ] {
            assert!(wrong.parse::<TraceContext>().is_err(), "{wrong}");
        }
    }
}
