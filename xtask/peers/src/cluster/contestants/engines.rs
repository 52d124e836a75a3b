//! Engines of one cluster, in this process.

use std::{net::TcpListener, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use memstache_cluster::{
    ClusterConfig, Engine, Key, KeySpace, Member, MemberState, NodeId, NodeName, Sourced, Table, Weight,
    membership::StaticMembership, net::Tls, source_fn,
};

use super::{BATCH, KEYS, LEN, Node};

const KEYSPACE: &str = "bench";
/// How long keys are handed over after the nodes have met.
const HAND_OVER: Duration = Duration::from_secs(11);
const SECRET: &[u8] = b"the secret of a bench";

/// The first of some engines, which is read from.
#[derive(Clone)]
pub(super) struct Engines {
    all: Arc<[Engine]>,
    table: Arc<Table>,
    me: NodeId,
    keys: Arc<[String]>,
}

impl Engines {
    /// Starts so many, and has all of them hold what is read.
    pub(super) async fn start(tls: &Tls, count: usize) -> Result<Self> {
        let mut members = Vec::new();
        for number in 0..count {
            // A port that was free a moment ago.
            let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let name: NodeName = format!("node-{number}").parse()?;
            members.push(Member::new(name, address).with_state(MemberState::Active));
        }
        let mut all = Vec::new();
        for me in &members {
            let others = members.iter().filter(|other| other.id != me.id).cloned();
            let membership = StaticMembership::new(me.clone(), others);
            let cluster = ClusterConfig::new("bench", me.clone(), membership)
                .transport(tls.clone())
                .bind(me.address)
                .secret(SECRET);
            let source = source_fn(|_: Key| async { Ok(Some(Sourced::new(vec![7; LEN]))) });
            // A copy would answer what is to be asked of its owner.
            let keyspace = KeySpace::builder(KEYSPACE).source(source).without_hot_copies().build()?;
            all.push(Engine::builder().keyspace(keyspace).cluster(cluster).build()?);
        }
        for started in futures_util::future::join_all(all.iter().map(Engine::start)).await {
            started?;
        }
        let weights: Vec<_> = members.iter().map(|member| (member.id, Weight::default())).collect();
        let made = Self {
            all: all.into(),
            table: Arc::new(Table::build(&weights)?),
            me: members[0].id,
            keys: (0..KEYS).map(|number| format!("key-{number}")).collect(),
        };
        made.settle().await?;
        Ok(made)
    }

    /// Reads until every read is answered by its owner: nothing is loaded any more.
    async fn settle(&self) -> Result<()> {
        let loads = || -> Result<u64> { self.all.iter().map(|engine| Ok(engine.stats(KEYSPACE)?.local_loads)).sum() };
        for _ in 0..500 {
            let before = loads()?;
            for number in 0..KEYS {
                self.get(number).await?;
            }
            if loads()? == before {
                // Until then, a new owner asks the one before for what it does not hold.
                tokio::time::sleep(HAND_OVER).await;
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::bail!("the nodes do not agree")
    }

    /// The same, but all keys are others'.
    pub(super) fn of_others(mut self) -> Result<Self> {
        let is_others = |key: &String| {
            let stored = format!(":{KEYSPACE}:{key}");
            self.table.owner_of(stored.as_bytes()).is_some_and(|owner| owner != self.me)
        };
        let mine: Vec<_> = self.keys.iter().filter(|key| is_others(key)).cloned().collect();
        ensure!(!mine.is_empty(), "the other nodes own nothing");
        self.keys = mine.iter().cycle().take(KEYS).cloned().collect();
        Ok(self)
    }
}

impl Node for Engines {
    async fn get(&self, number: usize) -> Result<usize> {
        let value = self.all[0].get(KEYSPACE, &self.keys[number]).await?;
        Ok(value.context("a value is missing")?.len())
    }
}

/// The same engines, asked for a hundred keys at a time.
#[derive(Clone)]
pub(super) struct Batches(pub(super) Engines);

impl Node for Batches {
    const BYTES: usize = BATCH * LEN;

    async fn get(&self, number: usize) -> Result<usize> {
        let Engines { all, keys, .. } = &self.0;
        let batch = (number..number + BATCH).map(|at| &keys[at % KEYS]);
        let values = all[0].get_many(KEYSPACE, batch).await?;
        values.into_iter().map(|value| Ok(value?.context("a value is missing")?.len())).sum()
    }
}
