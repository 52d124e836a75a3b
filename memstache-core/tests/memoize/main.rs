//! Memoized services, plain and over HTTP.

mod http;
mod service;
