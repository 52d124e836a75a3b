//! Hiding everything of a keyspace, of all tenants, on all nodes.
//!
//! The home of a keyspace is the owner of the partition that its shared space falls into. It numbers a flush as it does
//! invalidations, so that a flush has its place among them; the number is kept in the keyspace's record, by which members that
//! missed it hear of it.

use std::{sync::Arc, time::Duration};

use memstache_core::{Error, ErrorKind, Result, Sequence, Space, Tick};

use super::{Local, Refused, home::numbered};
use crate::{
    engine::{Node, Slot, cut_off, until},
    reader::{Cluster, Held},
    wire::{Answer, Call},
};

/// How long a node waits for another view when the home says that it is none.
const VIEW_PAUSE: Duration = Duration::from_millis(50);

impl Local {
    /// Hides everything that this node holds, under a number that the home gave.
    ///
    /// The error is the current number, if that is not below: what bears it already was not hidden.
    pub(crate) fn flush_at(&self, at: Sequence) -> Result<(), Sequence> {
        if let Some(copies) = &self.copies {
            copies.clear(at);
        }
        self.store.clear_at(at)
    }
}

impl Node {
    /// Hides everything of a keyspace: here if the node is alone, else by its home.
    pub(crate) async fn flush(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<Sequence> {
        let _under_way = self.under_way.begin();
        self.ready()?;
        let local = slot.current()?;
        let Some(cluster) = self.cluster() else { return Ok(self.flush_alone(&local)) };
        let deadline = self.clock.now().after(local.write_timeout().unwrap_or(self.times.write));
        let flushed = until(&self.clock, deadline, self.flush_by_home(cluster, slot, deadline)).await;
        flushed.unwrap_or_else(|| Err(cut_off(false)))
    }

    fn flush_alone(&self, local: &Local) -> Sequence {
        loop {
            let at = Sequence(local.store.sequence().0 + 1);
            if local.flush_at(at).is_ok() {
                self.registry.flushed(local.spec.name().as_str(), at);
                return at;
            }
        }
    }

    async fn flush_by_home(
        self: &Arc<Self>,
        cluster: &Arc<Cluster>,
        slot: &Arc<Slot>,
        deadline: Tick,
    ) -> Result<Sequence> {
        loop {
            let view = cluster.view();
            let home = view.table.owner_of(Space::new(None, &slot.name).key());
            let answer = match home.and_then(|home| view.members.get(home)) {
                None => Err(Refused::WrongOwner),
                Some(home) if home.id == cluster.me => self.flush_as_home(cluster, slot, deadline).await,
                Some(home) => {
                    let ask = Call::Flush { keyspace: slot.name.clone(), at: Sequence(0) };
                    match cluster.call(home, ask, deadline).await {
                        Ok(Answer::Sequences(numbers)) if numbers.len() == 1 => Ok(numbers[0]),
                        Ok(Answer::WrongOwner { .. }) => Err(Refused::WrongOwner),
                        Ok(Answer::Failed(error)) | Err(error) => Err(Refused::Failed(error)),
                        Ok(Answer::NoKeyspace) => {
                            let what = "the home of the keyspace does not know it";
                            Err(Error::new(ErrorKind::Unavailable, what).without_effect().into())
                        }
                        Ok(_) => Err(Error::new(ErrorKind::Protocol, "a peer answered something else").into()),
                    }
                }
            };
            match answer {
                Ok(at) => return Ok(at),
                Err(Refused::Failed(error)) => return Err(error),
                // The caller's deadline ends it.
                Err(Refused::WrongOwner) => cluster.another_view(&view, VIEW_PAUSE).await,
            }
        }
    }

    /// Numbers a flush and has every member do it.
    pub(super) async fn flush_as_home(
        self: &Arc<Self>,
        cluster: &Arc<Cluster>,
        slot: &Arc<Slot>,
        deadline: Tick,
    ) -> Result<Sequence, Refused> {
        let view = cluster.view();
        match view.held(Space::new(None, &slot.name).key()) {
            Held::NotMine => return Err(Refused::WrongOwner),
            Held::Mine => {}
            Held::Taken(taking) => {
                let confirmed = until(&cluster.clock, deadline, taking.confirmed()).await;
                confirmed.ok_or_else(|| Refused::Failed(cut_off(false)))?;
            }
        }
        cluster.vouch(&view, deadline).await.map_err(|_| Refused::WrongOwner)?;
        let local = slot.current()?;
        let begin = |at: Sequence| {
            local.flush_at(at)?;
            self.registry.flushed(slot.name.as_str(), at);
            Ok(Call::Flush { keyspace: slot.name.clone(), at })
        };
        Ok(numbered(self, cluster, &local, 1, begin).await?)
    }

    /// Hides everything that this node holds of a keyspace, as its home says.
    pub(super) fn flush_for_home(&self, slot: &Slot, at: Sequence) -> Result<Answer, Refused> {
        Ok(match slot.current()?.flush_at(at) {
            Ok(()) => {
                self.registry.flushed(slot.name.as_str(), at);
                Answer::Done
            }
            Err(current) => Answer::Sequences(vec![current]),
        })
    }
}
