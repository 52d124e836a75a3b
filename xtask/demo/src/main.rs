//! The demo of the workspace: a web service over SQLite, served through a memstache stack, and put under load.
//!
//! `cargo xtask demo` makes up a database, starts the service on a free port of this machine and asks it for products
//! over HTTP, first past the cache and then through it. Each shop is a tenant with a plan and a key of its own; in the end
//! one gets noisy. Tables show what the cache saved and whether the others noticed; if it did not keep what it promises,
//! the program fails. Then it stays up, to be tried by hand.

#![allow(clippy::disallowed_methods, reason = "a tool that people wait for measures real time")]
#![allow(clippy::print_stderr, reason = "a command-line tool says there what went wrong")]

mod args;
mod cache;
mod catalogue;
mod chaos;
mod check;
mod cluster;
mod database;
mod held;
mod keys;
mod load;
mod place;
mod plans;
mod report;
mod run;
mod screen;
mod service;
mod shutdown;
mod store;
mod temporary;
mod zipf;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use self::{args::Args, run::Ended};

/// Exit code of a program that was ended from the keyboard, as shells count it.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == cluster::WORD) {
        return match cluster::node() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: a node of the cluster: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let args = Args::parse();
    if let Err(wrong) = args.check() {
        Args::command().error(ErrorKind::ValueValidation, wrong).exit();
    }
    match run::run(&args) {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Interrupted) => {
            eprintln!("stopped before the results were in");
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
