//! What stores send to their databases, by OpenTelemetry's conventions for database clients.
//!
//! <https://opentelemetry.io/docs/specs/semconv/database/database-metrics/>

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::{
    histogram::Histogram,
    sample::{Sample, Value},
};
use crate::observe::instruments::DB_OPERATION_DURATION;

/// A kind of command that a store sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DatabaseCommand {
    /// `db.operation.name`: the command as the database calls it.
    pub operation: &'static str,
    /// `db.stored_procedure.name`: the script that the command runs; empty if it runs none.
    pub procedure: &'static str,
}

/// Times the commands that a store sends to its database; [`Registry::watch_database`](super::Registry::watch_database)
/// has them told.
///
/// What can be told is fixed when it is made, so that the number of series is. Recording takes no lock and, but for the
/// first of a command and error, no memory.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use memstache_core::observe::{DatabaseCalls, DatabaseCommand, Registry};
///
/// const COMMANDS: &[DatabaseCommand] = &[DatabaseCommand { operation: "GET", procedure: "" }];
/// let calls = Arc::new(DatabaseCalls::new("redis", COMMANDS, &["timeout"]));
/// calls.record(0, None, Duration::from_micros(80));
///
/// let registry = Registry::new();
/// registry.watch_database("products", calls)?;
/// assert!(registry.prometheus_text().contains("db_client_operation_duration_seconds_count{\
///     memstache_cache=\"products\",db_system_name=\"redis\",db_operation_name=\"GET\"} 1\n"));
/// # Ok::<_, memstache_core::Error>(())
/// ```
pub struct DatabaseCalls {
    system: &'static str,
    commands: &'static [DatabaseCommand],
    errors: &'static [&'static str],
    /// For each command, its times without an error, then those by error.
    times: Vec<OnceLock<Box<Histogram>>>,
}

impl DatabaseCalls {
    /// Creates a set of times for commands of a `db.system.name` that end with these `error.type`s.
    pub fn new(system: &'static str, commands: &'static [DatabaseCommand], errors: &'static [&'static str]) -> Self {
        let times = (0..commands.len() * (errors.len() + 1)).map(|_| OnceLock::new()).collect();
        Self { system, commands, errors, times }
    }

    /// Takes note of a command that has ended: which, and with which error, by their places in what it was made with.
    ///
    /// One that has no place there is not counted.
    pub fn record(&self, command: usize, error: Option<usize>, took: Duration) {
        let column = error.map_or(0, |error| error.saturating_add(1));
        if command < self.commands.len() && column <= self.errors.len() {
            self.times[command * (self.errors.len() + 1) + column].get_or_init(Box::default).record(took);
        }
    }

    /// Adds what was counted. Commands and errors that there never were have no series.
    pub(super) fn samples(&self, name: &Arc<str>, out: &mut Vec<Sample>) {
        let rows = self.commands.iter().zip(self.times.chunks(self.errors.len() + 1));
        for (command, times) in rows {
            for (error, times) in [""].iter().chain(self.errors).zip(times) {
                let Some(times) = times.get() else { continue };
                out.push(Sample {
                    instrument: DB_OPERATION_DURATION,
                    name: Some(Arc::clone(name)),
                    words: vec![self.system, command.operation, command.procedure, error],
                    value: Value::Times(Box::new(times.buckets())),
                });
            }
        }
    }
}

impl fmt::Debug for DatabaseCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseCalls").field("system", &self.system).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Registry;

    const COMMANDS: &[DatabaseCommand] = &[
        DatabaseCommand { operation: "MGET", procedure: "" },
        DatabaseCommand { operation: "EVALSHA", procedure: "set" },
    ];

    #[test]
    fn each_command_and_error_has_its_series_and_what_has_no_place_none() {
        let calls = Arc::new(DatabaseCalls::new("redis", COMMANDS, &["timeout", "OOM"]));
        let millis = Duration::from_millis;
        for (command, error) in [(0, None), (0, None), (1, Some(1)), (0, Some(0)), (2, None), (0, Some(2))] {
            calls.record(command, error, millis(2));
        }
        let registry = Registry::new();
        registry.watch_database("a", calls).unwrap();
        let text = registry.prometheus_text();
        let counts: Vec<_> = text.lines().filter(|line| line.contains("_count{")).collect();
        assert_eq!(
            counts,
            [
                "db_client_operation_duration_seconds_count{memstache_cache=\"a\",db_system_name=\"redis\",\
                 db_operation_name=\"MGET\"} 2",
                "db_client_operation_duration_seconds_count{memstache_cache=\"a\",db_system_name=\"redis\",\
                 db_operation_name=\"MGET\",error_type=\"timeout\"} 1",
                "db_client_operation_duration_seconds_count{memstache_cache=\"a\",db_system_name=\"redis\",\
                 db_operation_name=\"EVALSHA\",db_stored_procedure_name=\"set\",error_type=\"OOM\"} 1",
            ]
        );
        assert!(text.contains("db_operation_name=\"MGET\",le=\"0.0025\"} 2\n"), "{text}");
    }

    #[test]
    fn a_cache_has_one_database_and_a_good_name() {
        let registry = Registry::new();
        let calls = || Arc::new(DatabaseCalls::new("redis", COMMANDS, &[]));
        let (first, second) = (calls(), calls());
        first.record(0, None, Duration::ZERO);
        assert!(registry.watch_database("a b", Arc::clone(&first)).is_err());
        registry.watch_database("a", first).unwrap();
        assert!(registry.prometheus_text().contains("_count{"));
        registry.watch_database("a", second).unwrap();
        assert_eq!(registry.prometheus_text(), "", "another takes the place of the first");
    }
}
