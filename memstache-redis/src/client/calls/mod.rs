//! What is told of each command, by OpenTelemetry's conventions for database clients: a span, and how long it took.
//!
//! <https://opentelemetry.io/docs/specs/semconv/database/redis/>. No argument of a command is told, and so no key, value or
//! tenant.

use std::{sync::Arc, time::Duration};

use memstache_core::{
    Clock,
    observe::{DatabaseCalls, DatabaseCommand},
};
use tracing::{Span, field::Empty};

use super::{Command, Failure};

/// `db.system.name`, of Valkey too: it speaks the same.
const SYSTEM: &str = "redis";

/// Ends that are not a word of the server's: no answer in time, no connection, a full queue, nonsense, a caller that left.
const TIMEOUT: &str = "timeout";
const DISCONNECTED: &str = "disconnected";
const QUEUE_FULL: &str = "queue_full";
const PROTOCOL: &str = "protocol";
const CANCELLED: &str = "cancelled";
/// What the conventions call an error that is not in the list.
const OTHER: &str = "_OTHER";

/// Every `error.type`.
const ERRORS: &[&str] = &[
    TIMEOUT,
    DISCONNECTED,
    QUEUE_FULL,
    PROTOCOL,
    CANCELLED,
    "ASK",
    "BUSY",
    "CLUSTERDOWN",
    "CROSSSLOT",
    "ERR",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "MOVED",
    "NOAUTH",
    "NOPERM",
    "NOREPLICAS",
    "NOSCRIPT",
    "OOM",
    "READONLY",
    "TRYAGAIN",
    "UNKILLABLE",
    "WRONGPASS",
    "WRONGTYPE",
    OTHER,
];

/// Lists commands, and opens their spans: a span's name is a constant of the place that opens it.
macro_rules! commands {
    ($($operation:literal $procedure:literal $name:literal,)*) => {
        const COMMANDS: &[DatabaseCommand] =
            &[$(DatabaseCommand { operation: $operation, procedure: $procedure }),*];

        fn open(command: DatabaseCommand, server: &str, database: u8) -> Span {
            let (host, port) = server.rsplit_once(':').unwrap_or((server, ""));
            match (command.operation, command.procedure) {
                $(($operation, $procedure) => tracing::debug_span!(
                    $name,
                    otel.kind = "client",
                    "db.system.name" = SYSTEM,
                    "db.namespace" = database.to_string(),
                    "db.operation.name" = command.operation,
                    "db.stored_procedure.name" = (!command.procedure.is_empty()).then_some(command.procedure),
                    "server.address" = host,
                    "server.port" = port.parse::<u64>().ok(),
                    "db.response.status_code" = Empty,
                    "error.type" = Empty,
                ),)*
                _ => Span::none(),
            }
        }
    };
}

commands! {
    "MGET" "" "MGET",
    "EVALSHA" "get" "EVALSHA get",
    "EVALSHA" "set" "EVALSHA set",
    "EVALSHA" "remove" "EVALSHA remove",
    "EVALSHA" "touch" "EVALSHA touch",
    "EVALSHA" "line" "EVALSHA line",
    "EVALSHA" "tags" "EVALSHA tags",
    "EVALSHA" "invalidate" "EVALSHA invalidate",
    "EVALSHA" "record" "EVALSHA record",
    "EVAL" "get" "EVAL get",
    "EVAL" "set" "EVAL set",
    "EVAL" "remove" "EVAL remove",
    "EVAL" "touch" "EVAL touch",
    "EVAL" "line" "EVAL line",
    "EVAL" "tags" "EVAL tags",
    "EVAL" "invalidate" "EVAL invalidate",
    "EVAL" "record" "EVAL record",
    "TIME" "" "TIME",
    "GET" "" "GET",
    "HGET" "" "HGET",
    "HGETALL" "" "HGETALL",
    "XRANGE" "" "XRANGE",
    "DBSIZE" "" "DBSIZE",
    "SCAN" "" "SCAN",
    "RANDOMKEY" "" "RANDOMKEY",
    "STRLEN" "" "STRLEN",
    "MEMORY" "" "MEMORY",
}

/// Watches the commands of a client.
pub(super) struct Calls {
    times: Arc<DatabaseCalls>,
    clock: Arc<dyn Clock>,
    database: u8,
}

/// A command that is under way.
pub(super) struct Watched {
    command: usize,
    began: Duration,
    span: Span,
}

impl Calls {
    pub(super) fn new(clock: Arc<dyn Clock>, database: u8) -> Self {
        Self { times: Arc::new(DatabaseCalls::new(SYSTEM, COMMANDS, ERRORS)), clock, database }
    }

    pub(super) fn times(&self) -> Arc<DatabaseCalls> {
        Arc::clone(&self.times)
    }

    /// Begins to watch a command that is sent to a server.
    pub(super) fn begin(&self, command: &Command, server: &str) -> Watched {
        let is_it = |known: &DatabaseCommand| known.operation == command.name && known.procedure == command.script;
        let at = COMMANDS.iter().position(is_it).unwrap_or(COMMANDS.len());
        let span = COMMANDS.get(at).map_or_else(Span::none, |command| open(*command, server, self.database));
        Watched { command: at, began: self.clock.elapsed(), span }
    }

    /// Tells how a command ended.
    pub(super) fn end(&self, watched: &Watched, failure: Option<&Failure>) {
        self.tell(watched, failure.map(error_of));
        if let Some(Failure::Server(code)) = failure {
            watched.span.record("db.response.status_code", code.as_str());
        }
    }

    /// Tells that nobody waits for a command any more.
    pub(super) fn left(&self, watched: &Watched) {
        self.tell(watched, Some(CANCELLED));
    }

    fn tell(&self, watched: &Watched, error: Option<&'static str>) {
        let took = self.clock.elapsed().saturating_sub(watched.began);
        let place = error.and_then(|error| ERRORS.iter().position(|known| *known == error));
        self.times.record(watched.command, place, took);
        if let Some(error) = error {
            watched.span.record("error.type", error);
        }
    }
}

/// One of the list, so that a server cannot make up series.
fn error_of(failure: &Failure) -> &'static str {
    match failure {
        Failure::Timeout => TIMEOUT,
        Failure::Disconnected | Failure::Open => DISCONNECTED,
        Failure::Full => QUEUE_FULL,
        Failure::Protocol => PROTOCOL,
        Failure::Server(code) => ERRORS.iter().find(|known| **known == code.as_str()).copied().unwrap_or(OTHER),
    }
}

#[cfg(test)]
mod tests;
