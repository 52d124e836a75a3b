//! Asking servers for a part of their keys.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use foldhash::fast::RandomState;
use futures_util::future::{join, join_all};
use memstache_core::{Error, ErrorKind, Result, SampledUse, Scope, Tick};

use super::{
    owner::Owner,
    tally::{Tally, sum},
};
use crate::{
    client::{Command, Reply, slot_of},
    layout::HEAD_LEN,
    store::{errors, shared::Shared},
};

/// Keys that are asked for at once: two commands each at most, so that others have their turn in between.
const ROUND: usize = 64;
/// Keys that one `SCAN` looks at, about.
const PAGE: usize = 256;
/// Pages more than the keys should take: the table of a server is larger than what is in it.
const SPARE: usize = 32;

/// What a server is asked.
pub(super) struct Survey<'a> {
    shared: &'a Shared,
    owner: &'a Owner,
    /// Keys to draw of each server; one that has no more is counted.
    draws: usize,
    deadline: Tick,
}

impl<'a> Survey<'a> {
    pub(super) fn new(shared: &'a Shared, owner: &'a Owner, draws: usize) -> Self {
        Self { shared, owner, draws, deadline: shared.deadline(&Scope::default()) }
    }

    /// Asks all primaries, each for itself.
    pub(super) async fn all(&self) -> Result<SampledUse> {
        let topology = self.shared.client.topology();
        if topology.nodes.is_empty() {
            return Err(Error::new(ErrorKind::Unavailable, "no primary of redis is known"));
        }
        let slots = topology.nodes.iter().map(|node| node.slots.first().map_or(0, |(first, _)| *first));
        let parts: Result<Vec<_>> = join_all(slots.map(|slot| self.server(slot))).await.into_iter().collect();
        // What moved meanwhile may have been seen twice or not at all.
        let now = self.shared.client.topology();
        if !Arc::ptr_eq(&now, &topology) && *now != *topology {
            return Err(Error::new(ErrorKind::Unavailable, "the primaries of redis changed while they were asked"));
        }
        Ok(sum(parts?))
    }

    async fn server(&self, slot: u16) -> Result<SampledUse> {
        let keys = self.ask(slot, Command::plain("DBSIZE", &[])).await?.as_u64().ok_or_else(errors::protocol)?;
        if keys <= self.draws as u64
            && let Some(counted) = self.count(slot).await?
        {
            return Ok(counted);
        }
        Ok(self.draw(slot).await?.scaled(keys))
    }

    /// Looks at all keys; `None` if there are more than there should be, or too many places to look for them.
    async fn count(&self, slot: u16) -> Result<Option<SampledUse>> {
        let pattern = Bytes::from([&self.shared.keys.of_kind(b'v')[..], b"*"].concat());
        let (mut cursor, mut own) = (Bytes::from_static(b"0"), HashSet::<Bytes, RandomState>::default());
        for _ in 0..self.draws / PAGE + SPARE {
            let [matching, count] = ["MATCH", "COUNT"].map(|word| Bytes::from_static(word.as_bytes()));
            let page = Bytes::from(PAGE.to_string());
            let command = Command::new("SCAN", [cursor, matching, pattern.clone(), count, page]);
            let (next, keys) = page_of(self.ask(slot, command).await?).ok_or_else(errors::protocol)?;
            for key in keys {
                let key = key.into_bytes().ok_or_else(errors::protocol)?;
                // A key may come twice.
                if self.owns(&key)? {
                    own.insert(key);
                }
            }
            if own.len() > 2 * self.draws {
                return Ok(None);
            }
            if next == "0" {
                let mut tally = Tally::default();
                let own: Vec<_> = own.into_iter().collect();
                for keys in own.chunks(ROUND) {
                    self.measure(keys, &mut tally).await?;
                }
                return Ok(Some(tally.counted()));
            }
            cursor = next;
        }
        Ok(None)
    }

    /// Draws keys at random, with replacement.
    async fn draw(&self, slot: u16) -> Result<Tally> {
        let mut tally = Tally::default();
        for first in (0..self.draws).step_by(ROUND) {
            let round = ROUND.min(self.draws - first);
            let drawn = join_all((0..round).map(|_| self.ask(slot, Command::plain("RANDOMKEY", &[])))).await;
            let mut own = Vec::with_capacity(round);
            for key in drawn {
                match key? {
                    Reply::Bytes(key) if self.owns(&key)? => own.push(key),
                    // Another's; or the server holds nothing any more.
                    Reply::Bytes(_) | Reply::Nil => {}
                    _ => return Err(errors::protocol()),
                }
            }
            tally.drew(round);
            self.measure(&own, &mut tally).await?;
        }
        Ok(tally)
    }

    fn owns(&self, key: &Bytes) -> Result<bool> {
        match self.shared.keys.parse(key) {
            Some((b'v', stored)) => self.owner.owns(&stored),
            _ => Ok(false),
        }
    }

    /// Takes note of the sizes of keys, all at once.
    async fn measure(&self, keys: &[Bytes], tally: &mut Tally) -> Result<()> {
        for size in join_all(keys.iter().map(|key| self.size(key))).await {
            if let Some(bytes) = size? {
                tally.found(bytes);
            }
        }
        Ok(())
    }

    /// Returns what an entry takes; `None` if it is gone, or the mark of a removal.
    async fn size(&self, key: &Bytes) -> Result<Option<u64>> {
        let slot = slot_of(key);
        let length = self.ask(slot, Command::new("STRLEN", [key.clone()]));
        let usage = self.ask(slot, Command::new("MEMORY", [Bytes::from_static(b"USAGE"), key.clone()]));
        let (length, usage) = join(length, usage).await;
        let length = length?.as_u64().ok_or_else(errors::protocol)?;
        match usage? {
            Reply::Nil => Ok(None),
            usage => {
                let bytes = usage.as_u64().ok_or_else(errors::protocol)?;
                // A mark has no envelope behind its head.
                Ok((length > HEAD_LEN as u64).then_some(bytes))
            }
        }
    }

    async fn ask(&self, slot: u16, command: Command) -> Result<Reply> {
        self.shared.plain(slot, command, self.deadline).await
    }
}

/// Takes what `SCAN` answers apart: where to go on, and keys.
fn page_of(reply: Reply) -> Option<(Bytes, Vec<Reply>)> {
    let [next, keys] = <[Reply; 2]>::try_from(reply.into_array()?).ok()?;
    Some((next.into_bytes()?, keys.into_array()?))
}
