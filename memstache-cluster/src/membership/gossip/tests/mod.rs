//! The protocol, played without sockets; then with them.

mod builder;
mod driver;
mod hostile;
mod sealing;
mod stories;
