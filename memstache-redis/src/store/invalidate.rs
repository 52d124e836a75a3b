//! Hiding many entries at once.

use futures_util::future::join_all;
use memstache_core::{Error, ErrorKind, Result, Scope, Sequence, Target};

use super::{ask::Manner, errors, shared::Shared};
use crate::{
    client::{Reply, slot_of},
    layout::Marker,
    script::{Args, millis},
};

impl Shared {
    /// Invalidates all targets, those of one tenant in their order.
    pub(super) async fn invalidate(&self, items: &[Target], scope: &Scope) -> Vec<Result<Sequence>> {
        let mut tenants: Vec<(&str, Vec<usize>)> = Vec::new();
        for (at, target) in items.iter().enumerate() {
            let tenant = target.tenant().unwrap_or_default();
            match tenants.iter_mut().find(|(name, _)| *name == tenant) {
                Some((_, mine)) => mine.push(at),
                None => tenants.push((tenant, vec![at])),
            }
        }
        let mut done: Vec<Result<Sequence>> = items.iter().map(|_| Err(errors::protocol())).collect();
        let calls = tenants.into_iter().map(|(tenant, mine)| async {
            let sequences = self.invalidate_in(tenant, mine.iter().map(|at| &items[*at]).collect(), scope).await;
            (mine, sequences)
        });
        for (mine, sequences) in join_all(calls).await {
            match sequences {
                Ok(sequences) => mine.iter().zip(sequences).for_each(|(at, sequence)| done[*at] = Ok(sequence)),
                Err(error) => mine.iter().for_each(|at| done[*at] = Err(error.clone())),
            }
        }
        done
    }

    async fn invalidate_in(&self, tenant: &str, targets: Vec<&Target>, scope: &Scope) -> Result<Vec<Sequence>> {
        let keys = self.keys.tenant(tenant);
        let mut args = Args::default();
        args.number(millis(self.settings.line_life())).number(self.settings.max_tags).bytes(keys.marker.clone());
        // A whole tenant has no space: nothing is written down of it but its line.
        let mut extracts = vec![keys.extract.clone()];
        for target in &targets {
            let marker = Marker::of(target)
                .ok_or_else(|| Error::new(ErrorKind::Unsupported, "this store does not know such a target"))?;
            let space = !marker.space.is_empty();
            extracts.push(if space { self.keys.space(tenant, marker.space) } else { keys.extract.clone() });
            args.word(marker.kind).text(marker.space).text(marker.tag).bytes(marker.end);
        }
        let slot = slot_of(&keys.line);
        let keys: Vec<_> = [keys.line, keys.young, keys.old].into_iter().chain(extracts).collect();
        let manner = Manner { deadline: self.deadline(scope), writes: true };
        let answer = self.call(&self.scripts.invalidate, slot, &keys, args.as_slice(), manner).await?;
        let sequences = answer.into_array().filter(|items| items.len() == 1 + targets.len());
        let sequences = sequences.ok_or_else(errors::protocol)?;
        let sequences: Result<Vec<_>> =
            sequences[1..].iter().map(|item| Reply::as_u64(item).map(Sequence).ok_or_else(errors::protocol)).collect();
        let sequences = sequences?;
        if let Some(last) = sequences.last() {
            self.known.note(tenant, *last);
        }
        Ok(sequences)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use memstache_core::{BoxFuture, KeyspaceName, Space, Tag};
    use parking_lot::Mutex;
    use tokio::runtime::Handle;

    use super::*;
    use crate::{
        client::{Client, Command, Failure, Guarded, Node, Topology},
        store::RedisStore,
    };

    /// A server that notes how many keys each command has.
    #[derive(Debug, Default)]
    struct Noting(Mutex<Vec<String>>);

    impl Client for Noting {
        fn send(&self, _: u16, command: Command, _: Duration) -> BoxFuture<'static, Result<Reply, Failure>> {
            self.0.lock().push(format!("{} {:?}", command.name, command.args[1]));
            Box::pin(async { Ok(Reply::Array(vec![Reply::Int(1_000_000), Reply::Int(7)])) })
        }
        fn topology(&self) -> Arc<Topology> {
            Arc::new(Topology { cluster: false, nodes: vec![Node::new("h".into(), 1, None)] })
        }
        fn reconnect(&self, _: u16) {}
        fn close(&self) {}
    }

    #[tokio::test]
    async fn a_tag_is_one_command_over_one_line() {
        let server = Arc::new(Noting::default());
        let mut shared = RedisStore::builder("redis://127.0.0.1:1").unwrap().shared().unwrap();
        let client = Arc::clone(&server) as Arc<dyn Client>;
        shared.client = Guarded::new(client, Arc::clone(&shared.clock), Handle::current());
        let space = Space::new(None, &KeyspaceName::new("items").unwrap());
        let target = Target::Tag(space, Tag::new("red").unwrap());
        let done = shared.invalidate(&[target], &Scope::default()).await.remove(0);
        assert_eq!(done.unwrap(), Sequence(7));
        assert_eq!(*server.0.lock(), ["EVALSHA b\"5\""], "the line, its tags, and what plain reads need of it");
    }
}
