//! Load on a Redis that is being mistreated, and a judgement of what its readers saw: `cargo xtask chaos redis` runs it.
//!
//! It prints `ready` when the first read was answered, and at its end a summary in one line of JSON.

#![allow(clippy::disallowed_methods, reason = "servers of others know no clock of ours")]
#![allow(clippy::print_stdout, reason = "that is how it tells what it saw")]

mod args;
mod load;
mod readers;
mod summary;
mod tally;
mod world;
mod writers;

use std::error::Error;

use clap::Parser as _;
use memstache_core::{NearConfig, Stack};

use self::{args::Args, load::Stacks};

/// Bytes of the near cache.
const NEAR: usize = 16 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let store = args.connect().await?;
    let stacks = Stacks {
        plain: Stack::over(store.clone()).build(),
        near: Stack::over(store).near(NearConfig::new(NEAR)?).build(),
    };
    let summary = load::run(&stacks, &args.plan(), || println!("ready")).await?;
    println!("{}", serde_json::to_string(&summary)?);
    Ok(())
}
