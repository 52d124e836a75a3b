//! What can be set on the command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum, builder::ArgPredicate, value_parser};

/// Most products of all shops together: about 4 GiB of cache and database.
const MOST_PRODUCTS: u64 = 2_000_000;

/// For how long each kind of chaos lasts: longer than any deadline, so that it is seen that nothing piles up.
const CHAOS_SECONDS: &str = "10";

/// Shows memstache at work: an Axum service over a SQLite file, asked over HTTP past its cache and through it.
///
/// Makes up a database of shops and their products, starts the service on this machine, puts it under load, prints a
/// table of both ways and stays up to be tried by hand (Ctrl-C ends it). Fails if a request failed, if a read after a
/// write was old, if the cache asked the database more than once per product and lifetime, or if the others notice that
/// one shop asks for 50 times its share. With --chaos it breaks the cache's store and the database instead, and fails if
/// a request outlasts its deadline, if a product that was asked for before cannot be had though store or database is
/// there, if the database sees a stampede, or if memory grows. With --cluster, nodes that are processes of their own share
/// the products; one is killed and another joins under load. It fails if a product is loaded twice while nobody comes or
/// goes, if a request fails at any time, or if the nodes do not agree about who is there.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask demo", bin_name = "cargo xtask demo", max_term_width = 100)]
pub(crate) struct Args {
    /// Leave once the results are printed
    #[arg(long)]
    pub(crate) exit: bool,

    /// Break the store and the database under 500 requests a second, with errors, then hangs; a row each second
    #[arg(long, conflicts_with_all = ["ttl", "clients"])]
    pub(crate) chaos: bool,

    /// Run so many nodes as a cluster, over mutual TLS; each of --clients asks them in turn, 20 times a second
    #[arg(
        long,
        value_name = "NODES",
        conflicts_with_all = ["chaos", "store", "redis", "ttl", "port"],
        value_parser = value_parser!(u8).range(2..=9)
    )]
    pub(crate) cluster: Option<u8>,

    /// With --cluster: each node has the admin endpoints and their page; where they are is printed before the load begins
    #[arg(long, requires = "cluster")]
    pub(crate) admin: bool,
    /// By what the nodes of a cluster find each other; its server is started, unless --discovery-at says where one is
    #[arg(long, value_enum, default_value_t, requires = "cluster")]
    pub(crate) discovery: Discovery,

    /// Where the server for --discovery is: an address and a port for dns, nats:// or, for kubernetes, http://
    #[arg(long, value_name = "WHERE", requires = "discovery")]
    pub(crate) discovery_at: Option<String>,

    /// Where the cache keeps what its near tier does not; `redis` starts one, unless --redis says where it is
    #[arg(long, value_enum, default_value_t, conflicts_with = "chaos")]
    pub(crate) store: Store,

    /// URL of the Redis, with --store redis: redis://, redis-sentinel:// or redis-cluster://
    #[arg(long, value_name = "URL")]
    pub(crate) redis: Option<String>,

    /// Seconds of load for each of the two ways and for the noisy shop, for each kind of chaos (then 10 by default), or for a
    /// cluster while nobody comes or goes, at least after a kill, and at least after a join
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 4,
        default_value_if("chaos", ArgPredicate::Equals("true".into()), CHAOS_SECONDS),
        value_parser = value_parser!(u64).range(1..=3600)
    )]
    pub(crate) seconds: u64,

    /// Shops; each is a tenant of the cache, with a plan and a key of its own
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = value_parser!(u16).range(1..=1000))]
    pub(crate) shops: u16,

    /// Products of each shop
    #[arg(long, value_name = "COUNT", default_value_t = 5000, value_parser = value_parser!(u32).range(20..=1_000_000))]
    pub(crate) products: u32,

    /// Connections that ask at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = value_parser!(u16).range(1..=1000))]
    pub(crate) clients: u16,

    /// How uneven the demand is: the exponent of its Zipf distribution, from 0 (even) to 3
    #[arg(long, value_name = "EXPONENT", default_value_t = 0.99, value_parser = exponent, allow_negative_numbers = true)]
    pub(crate) zipf: f64,

    /// Milliseconds that each query of a product is under way, as to a database on another machine; 0 for none
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2, value_parser = value_parser!(u64).range(0..=1000))]
    pub(crate) distance: u64,

    /// Seconds that a product stays fresh in the cache
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = value_parser!(u64).range(1..=86_400))]
    pub(crate) ttl: u64,

    /// Port of the service on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) port: u16,

    /// SQLite file to keep; made if missing, used again if the demo made it [default: a temporary one]
    #[arg(long, value_name = "PATH")]
    pub(crate) db: Option<PathBuf>,

    /// Number from which products and demand are made up; the same one gives the same run
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    pub(crate) seed: u64,

    /// Print the results only: no progress, no lines to try
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// A way to find other nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Discovery {
    /// Each is told the addresses of all
    #[default]
    Static,
    /// A name server
    Dns,
    /// A server of NATS
    Nats,
    /// The API of Kubernetes; a stub of it, here
    Kubernetes,
}

/// A kind of store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    /// In this process
    #[default]
    Memory,
    /// In Redis
    Redis,
}

impl Args {
    /// Checks what no argument shows by itself; the error is for the person who typed them.
    pub(crate) fn check(&self) -> Result<(), String> {
        let all = u64::from(self.shops) * u64::from(self.products);
        if all > MOST_PRODUCTS {
            return Err(format!(
                "--shops times --products must be at most {MOST_PRODUCTS}, but {} times {} is {all}\n",
                self.shops, self.products
            ));
        }
        match (self.store, &self.redis) {
            (Store::Redis, None) => {
                return Err("--store redis must be given with --redis URL; `cargo xtask demo` adds it\n".to_owned());
            }
            (Store::Memory, Some(_)) => return Err("--redis must be given with --store redis\n".to_owned()),
            _ => {}
        }
        if (self.discovery == Discovery::Static) != self.discovery_at.is_none() {
            let what =
                "--discovery dns, nats or kubernetes must be given with --discovery-at; `cargo xtask demo` adds it\n";
            return Err(what.to_owned());
        }
        let Some(path) = &self.db else { return Ok(()) };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if path.is_dir() || path.file_name().is_none() {
            return Err("--db must name a file, but a folder was given\n".to_owned());
        }
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return Err("--db must name a file in a folder that exists\n".to_owned());
        }
        Ok(())
    }

    pub(crate) fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl)
    }
}

fn exponent(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it must be a number".to_owned())?;
    if (0.0..=3.0).contains(&number) { Ok(number) } else { Err("it must be from 0 to 3".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parsed(words: &[&str]) -> Result<Args, String> {
        let args = Args::try_parse_from([&["demo"], words].concat()).map_err(|error| error.to_string())?;
        args.check().map(|()| args)
    }

    #[test]
    fn the_defaults_are_right_and_every_argument_has_a_help_text() {
        let args = parsed(&[]).unwrap();
        assert_eq!((args.shops, args.products, args.clients, args.seconds), (20, 5000, 64, 4));
        assert!(args.ttl() > Duration::from_secs(args.seconds), "one lifetime covers the run");
        let chaos = |words: &[&str]| parsed(&[&["--chaos"], words].concat()).unwrap();
        assert_eq!((chaos(&[]).seconds, chaos(&["--seconds", "9", "--zipf", "1"]).seconds), (10, 9));
        assert_eq!(parsed(&["--cluster", "3", "--clients", "9"]).unwrap().cluster, Some(3));
        let command = Args::command();
        command.clone().debug_assert();
        assert!(command.get_arguments().all(|arg| arg.get_help().is_some()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (words, part) in [
            (&["--seconds", "0"][..], "0 is not in 1..=3600"),
            (&["--clients", "1001"], "1001 is not in 1..=1000"),
            (&["--products", "19"], "19 is not in 20..=1000000"),
            (&["--zipf", "-1"], "--zipf"),
            (&["--zipf=3.5"], "from 0 to 3"),
            (&["--zipf=NaN"], "from 0 to 3"),
            (&["--port", "65536"], "--port"),
            (&["--ttl", "0"], "--ttl"),
            (&["--distance", "1001"], "1001 is not in 0..=1000"),
            (&["--shops", "1000", "--products", "2001"], "1000 times 2001 is 2001000"),
            (&["--db", "/"], "a folder was given"),
            (&["--db", "/no/such/folder/x.db"], "a folder that exists"),
            (&["--chaos", "--ttl", "5"], "'--chaos' cannot be used with '--ttl"),
            (&["--clients", "8", "--chaos"], "cannot be used with"),
            (&["--store", "redis"], "must be given with --redis URL"),
            (&["--redis", "redis://h"], "must be given with --store redis"),
            (&["--store", "disk"], "[possible values: memory, redis]"),
            (&["--store", "redis", "--redis", "redis://h", "--chaos"], "cannot be used with"),
            (&["--cluster", "1"], "1 is not in 2..=9"),
            (&["--cluster", "3", "--chaos"], "cannot be used with"),
            (&["--cluster", "3", "--ttl", "9"], "cannot be used with"),
            (&["--cluster", "3", "--port", "9"], "cannot be used with"),
            (&["--admin"], "--cluster <NODES>"),
            (&["--discovery", "dns"], "--cluster"),
            (&["--cluster", "3", "--discovery", "dns"], "must be given with --discovery-at"),
            (&["--cluster", "3", "--discovery", "mdns"], "[possible values: static, dns, nats, kubernetes]"),
            (&["--frobnicate"], "--frobnicate"),
        ] {
            let error = parsed(words).unwrap_err();
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }
}
