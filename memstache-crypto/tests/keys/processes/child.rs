//! The child's end: a node with a keyring and a seal, that does what it is told.

use std::{
    env,
    io::{self, BufRead, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use memstache_core::{
    Address, Clock, FileRecords, Get, KeyspaceName, Lifetime, Lookup, NewEntry, OneOrMany, Request, Response, Sequence,
    Set, Space, Step, SystemClock, TenantId, TenantKeys, Tick, Transform, Version, testing::ManualClock,
};
use memstache_crypto::{FileProvider, KeyManagement, KeyOwner, Keyring, KeyringTask, Seal, Shredder};

use super::parent::{CLOCK, DIRECTORY, MARK, REAL};
use crate::kit::{HOUR, sealing, space};

struct Node {
    /// Turned by hand, and of use to a keyring that was told so.
    clock: ManualClock,
    keyring: Keyring,
    seal: Seal,
    task: Option<KeyringTask>,
}

/// Not a test: what the others start as a process.
#[test]
#[ignore = "the other end of a pipe"]
fn serve() {
    let directory = env::var_os(DIRECTORY).map(PathBuf::from).expect("started by a test of this file");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let clock = ManualClock::new();
    let ahead = env::var(CLOCK).unwrap();
    if ahead != REAL {
        clock.advance(Duration::from_millis(ahead.parse().unwrap()));
    }
    println!();
    let mut node = runtime.block_on(Node::open(directory, clock, ahead == REAL));
    for command in io::stdin().lock().lines() {
        let command = command.unwrap();
        let (name, rest) = command.split_once(' ').unwrap_or((&command, ""));
        let answer = runtime.block_on(node.serve(name, rest));
        println!("{MARK}{answer}");
        io::stdout().flush().unwrap();
    }
}

fn owner() -> KeyOwner {
    KeyOwner::tenant(TenantId::new("acme").unwrap())
}

fn address(number: usize) -> Address {
    let space = Space::new(Some(&TenantId::new("acme").unwrap()), &KeyspaceName::new("products").unwrap());
    Address::plain(&space, format!("entry-{number}")).unwrap()
}

fn value(number: usize) -> Bytes {
    format!("the value of entry {number}").into()
}

impl Node {
    async fn open(directory: PathBuf, clock: ManualClock, real: bool) -> Self {
        let records = Arc::new(FileRecords::open(directory.join("records")).await.unwrap());
        let provider = Arc::new(FileProvider::new(directory.join("master")));
        let of_keys: Arc<dyn Clock> = if real { Arc::new(SystemClock::new()) } else { Arc::new(clock.clone()) };
        let builder = Keyring::builder("test", records, provider).with_clock(of_keys);
        let keyring = builder.with_max_entry_ttl(4 * HOUR).open().await.unwrap();
        let seal = Seal::builder(keyring.clone()).clock(clock.clone()).build().unwrap();
        Self { clock, keyring, seal, task: None }
    }

    async fn serve(&mut self, name: &str, rest: &str) -> String {
        match name {
            "write" => self.write(rest).await,
            "read" => self.read(rest).await,
            "advance" => {
                self.clock.advance(Duration::from_millis(rest.parse().unwrap()));
                String::new()
            }
            "refresh" => format!("{:?}", self.keyring.refresh().await.unwrap()),
            "rotate-derived" => self.keyring.rotate_derived(&owner()).await.unwrap().id().to_string(),
            "rotate-branch" => self.keyring.rotate_branch().await.unwrap().id().to_string(),
            "rotate-master" => self.keyring.rotate_master_key(None).await.unwrap().version().to_owned(),
            "rewrap" => self.keyring.rewrap().await.unwrap().to_string(),
            "status" => {
                let keys = self.keyring.status(&owner()).await.unwrap().len();
                let branches = self.keyring.branch_status().await.unwrap().len();
                let master = self.keyring.get_master_key(None).await.unwrap();
                format!("{keys} keys, {branches} branches, master {}", master.version())
            }
            "states" => {
                let keys = self.keyring.status(&owner()).await.unwrap();
                keys.iter().map(|key| format!("{:?}", key.state())).collect::<Vec<_>>().join(" ")
            }
            "revoke-active" => {
                let id = self.keyring.get_derived_key(&owner(), None).await.unwrap().id();
                assert!(self.keyring.revoke(&owner(), id).await.unwrap());
                id.to_string()
            }
            "run" => {
                self.task = Some(self.keyring.run());
                String::new()
            }
            "node" => self.keyring.node().unwrap().to_owned(),
            "shred" => {
                let acme = TenantId::new("acme").unwrap();
                let wait = Duration::from_millis(rest.parse().unwrap());
                let receipt = Shredder::new(self.keyring.clone()).with_wait(wait).shred(&acme).await.unwrap();
                format!("{} {} {}", receipt.keys.len(), receipt.confirmed.join(","), receipt.unconfirmed.join(","))
            }
            "first" => sealing(&self.keyring, &space(rest, "products")).await.unwrap().to_string(),
            other => panic!("there is no command {other}"),
        }
    }

    /// `FIRST COUNT`: seals entries; what a store would be given.
    async fn write(&self, rest: &str) -> String {
        let (first, count) = rest.split_once(' ').unwrap();
        let (first, count): (usize, usize) = (first.parse().unwrap(), count.parse().unwrap());
        let mut written = Vec::new();
        for number in first..first + count {
            let entry = NewEntry::new(value(number), Lifetime::new(4 * HOUR).unwrap());
            let step = self.seal.request(Request::Set(Set::one(address(number), entry)));
            let Ok((Request::Set(set), _)) = settled(step).await else { panic!("not sealed") };
            written.push(HEXLOWER.encode(&set.items.into_one().unwrap().entry.value));
        }
        written.join(",")
    }

    /// `NUMBER=HEX,…`: opens entries; how many opened, and how many did not.
    async fn read(&self, rest: &str) -> String {
        let (mut opened, mut failed) = (0, 0);
        for entry in rest.split(',') {
            let (number, hex) = entry.split_once('=').unwrap();
            let number = number.parse().unwrap();
            *(if self.opens(number, hex).await { &mut opened } else { &mut failed }) += 1;
        }
        format!("{opened} {failed}")
    }

    async fn opens(&self, number: usize, hex: &str) -> bool {
        let mut stored = NewEntry::new(HEXLOWER.decode(hex.as_bytes()).unwrap(), Lifetime::UNLIMITED);
        stored.content.sealed = true;
        let entry = stored.into_entry(Tick::from_millis(1), Version(1), Sequence(1));
        let (_, pending) = settled(self.seal.request(Request::Get(Get::one(address(number))))).await.unwrap();
        let answer = Response::Found(OneOrMany::One(Ok(Lookup::Hit(entry))));
        match settled(self.seal.response(pending, answer)).await.unwrap() {
            Response::Found(found) => match found.into_one().unwrap() {
                Ok(Lookup::Hit(entry)) => {
                    assert_eq!(entry.value, value(number));
                    true
                }
                _ => false,
            },
            other => panic!("{other:?}"),
        }
    }
}

async fn settled<T: std::fmt::Debug>(step: Step<T>) -> memstache_core::Result<T> {
    match step {
        Step::Now(result) => result,
        Step::Wait(wait) => wait.await,
        other => panic!("{other:?}"),
    }
}
