//! Servers are brought up and down by the program itself.

#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "servers of others know no clock of ours")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod with_redis;
