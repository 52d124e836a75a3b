//! Failures of the client as errors of the cache.

use memstache_core::{Error, ErrorKind};

use crate::client::Failure;

/// The error of a read.
pub(crate) fn of_read(failure: &Failure) -> Error {
    match failure {
        Failure::Timeout => Error::new(ErrorKind::Timeout, "redis did not answer in time"),
        Failure::Disconnected => Error::new(ErrorKind::Unavailable, "redis cannot be reached"),
        other => of_unsent(other),
    }
}

/// The error of a write: what may have happened is unknown.
pub(crate) fn of_write(failure: &Failure) -> Error {
    match failure {
        Failure::Timeout => Error::new(ErrorKind::Unknown, "redis did not acknowledge the write in time"),
        Failure::Disconnected => Error::new(ErrorKind::Unknown, "the connection to redis broke during the write"),
        other => of_unsent(other),
    }
}

fn of_unsent(failure: &Failure) -> Error {
    match failure {
        Failure::Timeout | Failure::Disconnected | Failure::Open => {
            Error::new(ErrorKind::Unavailable, "redis is known to be gone, and was not asked")
        }
        Failure::Full => Error::new(ErrorKind::Overloaded, "too many commands wait to be sent to redis"),
        Failure::Protocol => protocol(),
        Failure::Server(code) => of_server(code),
    }
}

fn of_server(code: &str) -> Error {
    match code {
        "OOM" => Error::new(ErrorKind::Overloaded, "redis is full, and evicts nothing"),
        "BUSY" => Error::new(ErrorKind::Overloaded, "redis is busy with another script"),
        "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "READONLY" | "TRYAGAIN" | "MOVED" | "ASK" | "MISCONF"
        | "NOREPLICAS" | "UNKILLABLE" => {
            Error::new(ErrorKind::Unavailable, format!("redis does not serve now: {code}"))
        }
        "NOAUTH" | "WRONGPASS" | "NOPERM" => {
            Error::new(ErrorKind::Unavailable, format!("redis refused these credentials: {code}")).with_retryable(false)
        }
        code => Error::new(ErrorKind::Protocol, format!("redis refused a command: {code}")),
    }
}

/// The error of a write that the script answered, where it could not be learned what hides it.
pub(crate) fn unseen() -> Error {
    Error::new(ErrorKind::Unknown, "redis answered the write, but not whether an invalidation hides it")
}

/// The error of an answer that is none.
pub(crate) fn protocol() -> Error {
    Error::new(ErrorKind::Protocol, "redis answered something else than was asked")
}

/// The error of a call whose time is over before it was sent.
pub(crate) fn too_late() -> Error {
    Error::new(ErrorKind::Timeout, "the deadline passed before redis took the command")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_was_cut_off_is_unknown_and_a_read_is_not() {
        for (failure, read, write) in [
            (Failure::Timeout, ErrorKind::Timeout, ErrorKind::Unknown),
            (Failure::Disconnected, ErrorKind::Unavailable, ErrorKind::Unknown),
            (Failure::Open, ErrorKind::Unavailable, ErrorKind::Unavailable),
            (Failure::Full, ErrorKind::Overloaded, ErrorKind::Overloaded),
            (Failure::Protocol, ErrorKind::Protocol, ErrorKind::Protocol),
            (Failure::Server("OOM".into()), ErrorKind::Overloaded, ErrorKind::Overloaded),
            (Failure::Server("READONLY".into()), ErrorKind::Unavailable, ErrorKind::Unavailable),
            (Failure::Server("NOPERM".into()), ErrorKind::Unavailable, ErrorKind::Unavailable),
            (Failure::Server("CROSSSLOT".into()), ErrorKind::Protocol, ErrorKind::Protocol),
        ] {
            assert_eq!((of_read(&failure).kind(), of_write(&failure).kind()), (read, write), "{failure:?}");
        }
        assert!(!of_read(&Failure::Server("NOPERM".into())).is_retryable(), "the same password is wrong again");
    }
}
