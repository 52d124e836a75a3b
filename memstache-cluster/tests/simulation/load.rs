//! Callers: who writes, who reads, and what they write down.

use std::{collections::HashMap, sync::Arc, time::Duration};

use memstache_cluster::{Engine, Put};
use memstache_core::{
    Result, TenantId,
    testing::{Stamp, WriteOutcome},
};
use tokio::{sync::watch, time::sleep};

use crate::world::{DEADLINE, KEYS, Node, PLAIN, SOURCED, WRITERS, World, millis};

const TAG: &str = "tag";
/// What a call may take above its deadline.
const SLACK: Duration = millis(20);

pub(crate) fn tenant(writer: usize) -> String {
    format!("w{writer}")
}

fn handle(node: &Node, tenant: &str) -> Engine {
    node.engine.for_tenant(&TenantId::new(tenant).unwrap())
}

impl World {
    /// Makes a call through a node and watches its time.
    async fn watched<T>(&self, what: &str, node: &Node, call: impl Future<Output = Result<T>>) -> Option<Result<T>> {
        let began = self.now();
        let answer = node.call(call).await;
        let took = self.now() - began;
        if took > DEADLINE + SLACK && !node.was_paused(began) {
            self.problem(format!("{what} at {began:?} took {took:?}"));
        }
        answer
    }

    /// Reads a key through a node and writes down what is seen.
    pub(crate) async fn read(
        &self,
        node: &Node,
        keyspace: &str,
        tenant: &str,
        key: &str,
    ) -> Option<Result<Option<String>>> {
        let engine = handle(node, tenant);
        let began = self.now();
        let answer = self.watched("a read", node, engine.get(keyspace, key)).await?;
        Some(answer.map(|value| {
            let value = value.map(|value| String::from_utf8_lossy(&value).into_owned());
            // One side of a split does not see what the other writes.
            let bound = self.was_apart(node, began).map_or(Duration::ZERO, |since| began.saturating_sub(since));
            self.history.lock().unwrap().read(tenant, key, began, bound, value.as_deref());
            value
        }))
    }
}

fn outcome<T>(answer: &Option<Result<T>>) -> WriteOutcome {
    match answer {
        Some(Ok(_)) => WriteOutcome::Acknowledged,
        Some(Err(error)) if !error.may_have_effect() => WriteOutcome::Failed,
        _ => WriteOutcome::Unknown,
    }
}

/// Writes the keys of one tenant, one after the other.
pub(crate) struct Writer {
    world: Arc<World>,
    number: usize,
    tenant: String,
    rng: fastrand::Rng,
    versions: HashMap<String, u64>,
}

impl Writer {
    pub(crate) fn new(world: &Arc<World>, number: usize, rng: fastrand::Rng) -> Self {
        Self { world: Arc::clone(world), number, tenant: tenant(number), rng, versions: HashMap::new() }
    }

    pub(crate) async fn run(mut self, over: watch::Receiver<bool>) {
        while !*over.borrow() {
            sleep(millis(self.rng.u64(5..40))).await;
            let node = self.world.any_node(&mut self.rng);
            let key = self.rng.usize(..KEYS);
            match self.rng.u8(..20) {
                0..=7 => self.put(&node, key).await,
                8..=10 => self.delete(&node, key).await,
                11 => self.hide(&node, true).await,
                12 => self.hide(&node, false).await,
                13..=17 => self.change(&node, key, true).await,
                _ => self.change(&node, key, false).await,
            }
        }
    }

    fn stamp(&mut self, key: &str) -> Stamp {
        let version = self.versions.entry(key.to_owned()).or_default();
        *version += 1;
        Stamp::new(&self.tenant, key, *version, self.number as u32)
    }

    async fn put(&mut self, node: &Node, key: usize) {
        let name = self.world.plain_key(self.number, key);
        let stamp = self.stamp(&name);
        let engine = handle(node, &self.tenant);
        let put = engine.put(PLAIN, &name, Put::new(stamp.to_string()).tags([TAG]));
        let began = self.world.now();
        let answer = self.world.watched("a put", node, put).await;
        let outcome = outcome(&answer);
        self.world.write_down(node, began, &stamp, false, outcome);
        if outcome == WriteOutcome::Unknown {
            // It may come after whatever follows it.
            self.world.rename(self.number, key);
        }
    }

    async fn delete(&mut self, node: &Node, key: usize) {
        let name = self.world.plain_key(self.number, key);
        let stamp = self.stamp(&name);
        let engine = handle(node, &self.tenant);
        let began = self.world.now();
        let answer = self.world.watched("a delete", node, engine.delete(PLAIN, &name)).await;
        self.world.write_down(node, began, &stamp, true, outcome(&answer));
    }

    /// Hides all of the tenant's keys, which all carry the tag.
    async fn hide(&mut self, node: &Node, by_tag: bool) {
        let names: Vec<String> = (0..KEYS).map(|key| self.world.plain_key(self.number, key)).collect();
        let stamps: Vec<Stamp> = names.iter().map(|name| self.stamp(name)).collect();
        let engine = handle(node, &self.tenant);
        let hide = async { if by_tag { engine.invalidate_tag(PLAIN, TAG).await } else { engine.clear(PLAIN).await } };
        let began = self.world.now();
        let answer = self.world.watched("an invalidation", node, hide).await;
        stamps.iter().for_each(|stamp| self.world.write_down(node, began, stamp, true, outcome(&answer)));
    }

    /// Changes the source, and has the cache forget the key.
    async fn change(&mut self, node: &Node, key: usize, exists: bool) {
        let name = format!("s{key}");
        let stamp = self.stamp(&name);
        self.world.truth.set(&self.tenant, &name, exists.then(|| stamp.to_string()));
        let engine = handle(node, &self.tenant);
        let began = self.world.now();
        let answer = self.world.watched("a delete", node, engine.delete(SOURCED, &name)).await;
        // The source has it, whatever the cache says.
        let outcome = match outcome(&answer) {
            WriteOutcome::Acknowledged => WriteOutcome::Acknowledged,
            _ => WriteOutcome::Unknown,
        };
        self.world.write_down(node, began, &stamp, !exists, outcome);
    }
}

/// Reads any key through any node.
pub(crate) async fn reader(world: Arc<World>, mut rng: fastrand::Rng, over: watch::Receiver<bool>) {
    while !*over.borrow() {
        sleep(millis(rng.u64(1..30))).await;
        let node = world.any_node(&mut rng);
        let (writer, key) = (rng.usize(..WRITERS), rng.usize(..KEYS));
        // An error is an answer that nobody is misled by.
        let _ = if rng.bool() {
            world.read(&node, PLAIN, &tenant(writer), &world.plain_key(writer, key)).await
        } else {
            world.read(&node, SOURCED, &tenant(writer), &format!("s{key}")).await
        };
    }
}
