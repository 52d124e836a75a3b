//! One round trip: a script for each group of a plan, and the lines of its tenants beside.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use futures_util::future::{Either, join, join_all, select};
use memstache_core::{Error, Result, Sequence, Tick};

use super::{
    clocks::{Fence, Fences, Floor},
    errors,
    plan::{Group, Plan},
    shared::Shared,
};
use crate::{
    client::{Command, Failure, Reply},
    layout::Line,
    script::{Args, Script, millis},
};

/// How a script is called.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) deadline: Tick,
    /// Whether what is cut off may have changed something.
    pub(crate) writes: bool,
}

/// What is sent.
enum What<'a> {
    Script(&'a Script, &'a [Bytes], &'a [Bytes]),
    Plain(Command),
    Keys(Vec<Bytes>),
}

/// What a round trip brought.
pub(super) struct Round {
    /// For each item of the plan.
    pub(super) items: Vec<Result<Answer>>,
}

/// What came back for one item.
pub(super) struct Answer {
    pub(super) reply: Vec<Reply>,
    pub(super) line: Arc<Line>,
    /// Under which sequence it was sent, where the line lies elsewhere.
    pub(super) sent_under: Option<Sequence>,
    /// The server's time, ms.
    pub(super) server_ms: u64,
    /// A tick not after that.
    pub(super) sent_at: Tick,
}

impl Shared {
    /// Calls a script for every group of a plan.
    ///
    /// `floor` says what the fence of an item must reach at least, for a writer that knows it is not late.
    /// `head` writes the arguments before the spaces, given the sequence for lines that lie elsewhere; `item` those of one
    /// item, given what its own fence goes by.
    pub(super) async fn ask(
        &self,
        plan: &Plan,
        script: &Script,
        manner: Manner,
        floor: impl Fn(usize) -> Floor,
        head: impl Fn(&mut Args, Fence, Sequence),
        item: impl Fn(&mut Args, usize, Fences),
    ) -> Round {
        let cluster = self.client.topology().cluster;
        if cluster {
            self.learn_lines(plan, manner.deadline).await;
        }
        let known: Vec<_> = plan.tenants.iter().map(|tenant| self.known.get(&tenant.name)).collect();
        let sent_at = self.clock.now();
        let calls = plan.groups.iter().map(|group| {
            let (mut keys, mut args) = (Vec::with_capacity(2 * group.items.len() + 1), Args::default());
            let tenant = &plan.tenants[group.tenant];
            let fences = self.fences(group.slot, sent_at);
            let fence = fences
                .until(manner.deadline)
                .reach(group.items.iter().map(|at| floor(*at)).fold(Floor::default(), Floor::max));
            head(&mut args, fence, known[group.tenant]);
            args.number(if cluster { 0 } else { tenant.spaces.len() as u64 });
            if !cluster {
                tenant.spaces.iter().for_each(|space| {
                    args.text(space);
                });
            }
            for at in &group.items {
                let key = &plan.places[*at].key;
                keys.extend([key.clone(), self.keys.lease_of(key)]);
                item(&mut args, *at, fences);
            }
            if !cluster {
                keys.push(tenant.keys.line.clone());
                if script.is_by_extract() {
                    keys.extend(tenant.extract());
                }
            }
            async move { self.call(script, group.slot, &keys, args.as_slice(), manner).await }
        });
        let lines = plan.tenants.iter().filter(|_| cluster).map(|tenant| async {
            let line = self.line(tenant, manner.deadline).await?;
            self.known.note(&tenant.name, line.sequence);
            Ok(Arc::new(line))
        });
        let (answers, lines): (Vec<Result<_>>, Vec<Result<Arc<Line>>>) = join(join_all(calls), join_all(lines)).await;
        let mut items: Vec<Result<Answer>> = plan.places.iter().map(|_| Err(errors::protocol())).collect();
        for (group, answer) in plan.groups.iter().zip(answers) {
            let sent_under = cluster.then(|| known[group.tenant]);
            let spaces = plan.tenants[group.tenant].spaces.len();
            let line = lines.get(group.tenant).cloned();
            // The script answered: what its line did not bring is whether the write is seen.
            let line = line.map(|line| if manner.writes { line.map_err(|_| errors::unseen()) } else { line });
            match answer.and_then(|answer| take_apart(answer, group, line, spaces)) {
                Ok((server_us, line, replies)) => {
                    for (at, reply) in group.items.iter().zip(replies) {
                        let reply = unpacked(reply).ok_or_else(errors::protocol);
                        let (line, server_ms) = (Arc::clone(&line), server_us / 1000);
                        items[*at] = reply.map(|reply| Answer { reply, line, sent_under, server_ms, sent_at });
                    }
                }
                Err(error) => group.items.iter().for_each(|at| items[*at] = Err(error.clone())),
            }
        }
        Round { items }
    }

    /// Reads the lines of tenants that nothing is known of: once for each tenant and process.
    ///
    /// What is granted under no sequence at all would look outdated to everybody else.
    async fn learn_lines(&self, plan: &Plan, deadline: Tick) {
        let unknown = plan.tenants.iter().filter(|tenant| self.known.get(&tenant.name) == Sequence(0));
        join_all(unknown.map(|tenant| async {
            // An error shows in the call itself.
            if let Ok(line) = self.line(tenant, deadline).await {
                self.known.note(&tenant.name, line.sequence);
            }
        }))
        .await;
    }

    /// Calls a script on the server of a slot; reads are tried again while there is time.
    pub(crate) async fn call(
        &self,
        script: &Script,
        slot: u16,
        keys: &[Bytes],
        args: &[Bytes],
        manner: Manner,
    ) -> Result<Reply> {
        self.send(slot, &What::Script(script, keys, args), manner).await
    }

    /// Reads keys of a slot as they are; tried again while there is time.
    pub(super) async fn read(&self, slot: u16, keys: Vec<Bytes>, deadline: Tick) -> Result<Vec<Reply>> {
        let count = keys.len();
        let reply = self.send(slot, &What::Keys(keys), Manner { deadline, writes: false }).await?;
        reply.into_array().filter(|values| values.len() == count).ok_or_else(errors::protocol)
    }

    /// Asks the server of a slot for its time, in µs.
    pub(super) async fn time(&self, slot: u16, deadline: Tick) -> Result<u64> {
        self.plain(slot, Command::plain("TIME", &[]), deadline).await?.as_time().ok_or_else(errors::protocol)
    }

    /// Sends a command that changes nothing; tried again while there is time.
    pub(super) async fn plain(&self, slot: u16, command: Command, deadline: Tick) -> Result<Reply> {
        self.send(slot, &What::Plain(command), Manner { deadline, writes: false }).await
    }

    async fn send(&self, slot: u16, what: &What<'_>, manner: Manner) -> Result<Reply> {
        let patience = if manner.writes { self.settings.write_timeout } else { self.settings.read_timeout };
        let mut attempt = 1;
        loop {
            let left = manner.deadline.since(self.clock.now());
            if left.is_zero() {
                return Err(errors::too_late());
            }
            // Whose time it is that comes back: slots move meanwhile.
            let (server, sent_at) = (self.client.server_of(slot), self.clock.now());
            let answer = match what {
                What::Plain(command) => self.client.send(slot, command.clone(), left.min(patience)).await,
                What::Keys(keys) => {
                    let place = if self.client.topology().cluster { slot } else { 0 };
                    let read = self.gather.read(place, slot, keys.clone(), patience);
                    if left < patience { self.until(manner.deadline, read).await } else { read.await }
                }
                What::Script(script, keys, args) => {
                    let answer = self.eval(script, slot, keys, args, left.min(patience)).await;
                    answer.inspect(|reply| self.note_time(&server, reply, sent_at))
                }
            };
            let failure = match answer {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            let again = !manner.writes && failure.is_outage() && attempt < self.settings.read_attempts;
            if !again {
                return Err(if manner.writes { errors::of_write(&failure) } else { errors::of_read(&failure) });
            }
            self.counters.retried();
            let pause = backoff(self.settings.backoff, attempt, fastrand::f64());
            self.clock.sleep_until(self.clock.now().after(pause).min(manner.deadline)).await;
            attempt += 1;
        }
    }

    /// Waits for what others may wait for longer.
    async fn until(
        &self,
        deadline: Tick,
        answer: impl Future<Output = Result<Reply, Failure>>,
    ) -> Result<Reply, Failure> {
        match select(Box::pin(answer), self.clock.sleep_until(deadline)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(Failure::Timeout),
        }
    }

    async fn eval(
        &self,
        script: &Script,
        slot: u16,
        keys: &[Bytes],
        args: &[Bytes],
        within: Duration,
    ) -> Result<Reply, Failure> {
        let answer = self.client.send(slot, script.call(keys, args), within).await;
        match answer {
            // A new server, or one that was told to forget its scripts. It has done nothing yet.
            Err(Failure::Server(code)) if code == "NOSCRIPT" => {
                self.client.send(slot, script.teach(keys, args), within).await
            }
            answer => answer,
        }
    }

    pub(crate) fn fences(&self, slot: u16, now: Tick) -> Fences {
        self.clocks.fences(&self.client.server_of(slot), now, now.after(self.settings.write_timeout))
    }

    fn note_time(&self, server: &Arc<str>, reply: &Reply, sent_at: Tick) {
        if let Reply::Array(items) = reply
            && let Some(server_us) = items.first().and_then(Reply::as_u64)
        {
            self.clocks.note(server, server_us, sent_at, self.clock.now());
        }
    }

    /// Reads a line by the script, which also writes down what plain reads go by.
    pub(super) async fn line(&self, tenant: &super::plan::Tenant, deadline: Tick) -> Result<Line> {
        let mut args = Args::default();
        args.number(millis(self.settings.line_life())).number(tenant.spaces.len() as u64);
        tenant.spaces.iter().for_each(|space| {
            args.text(space);
        });
        let manner = Manner { deadline, writes: false };
        let keys: Vec<_> = std::iter::once(tenant.keys.line.clone()).chain(tenant.extract()).collect();
        let reply = self.call(&self.scripts.line, tenant.slot, &keys, args.as_slice(), manner).await?;
        let line = reply.into_array().and_then(|mut items| items.pop()).ok_or_else(errors::protocol)?;
        Line::parse(&line, tenant.spaces.len())
    }
}

/// Takes an answer apart: the time, the line, and one reply for each item.
fn take_apart(
    answer: Reply,
    group: &Group,
    line: Option<Result<Arc<Line>>>,
    spaces: usize,
) -> Result<(u64, Arc<Line>, impl Iterator<Item = Reply>)> {
    let items = answer.into_array().filter(|items| items.len() == 2 + group.items.len());
    let mut items = items.ok_or_else(errors::protocol)?.into_iter();
    let time = items.next().and_then(|time| time.as_u64()).ok_or_else(errors::protocol)?;
    let inline = items.next().ok_or_else(errors::protocol)?;
    let line = match line {
        Some(line) => line?,
        None => Arc::new(Line::parse(&inline, spaces)?),
    };
    Ok((time, line, items))
}

/// Reads what a script says of one item: state, version, and bytes if there are any; packed or not.
fn unpacked(reply: Reply) -> Option<Vec<Reply>> {
    let Reply::Bytes(mut packed) = reply else { return reply.into_array() };
    if packed.len() < 9 {
        return None;
    }
    let (state, version) = (packed.get_u8(), i64::try_from(packed.get_u64()).ok()?);
    let rest = if packed.is_empty() { Reply::Nil } else { Reply::Bytes(packed) };
    Some(vec![Reply::Int(i64::from(state)), Reply::Int(version), rest])
}

/// Exponential, with full jitter.
fn backoff(least: Duration, attempt: u32, random: f64) -> Duration {
    least.saturating_mul(1 << attempt.min(6)).mul_f64(random)
}

/// Makes the error of a call for all of its items.
pub(super) fn all<T>(count: usize, error: &Error) -> Vec<Result<T>> {
    (0..count).map(|_| Err(error.clone())).collect()
}

#[cfg(test)]
mod tests {
    use memstache_core::{
        Address, BoxFuture, ErrorKind, KeyspaceName, Lifetime, NewEntry, Scope, SetItem, Space, When,
    };

    use super::*;
    use crate::{
        client::{Client, Guarded, Node, Topology},
        store::RedisStore,
    };

    /// A cluster that does what it is asked, but does not answer who asks for lines alone.
    #[derive(Debug)]
    struct Lineless;

    impl Client for Lineless {
        fn send(&self, _: u16, command: Command, _: Duration) -> BoxFuture<'static, Result<Reply, Failure>> {
            let done = Reply::Array(vec![Reply::Int(1), Reply::Int(7), Reply::Nil]);
            let answer = match &*command.args[1] {
                b"2" => Ok(Reply::Array(vec![Reply::Int(1_000_000), Reply::Nil, done])),
                _ => Err(Failure::Disconnected),
            };
            Box::pin(async { answer })
        }
        fn topology(&self) -> Arc<Topology> {
            let mut node = Node::new("h".into(), 1, None);
            node.slots.push((0, 16_383));
            Arc::new(Topology { cluster: true, nodes: vec![node] })
        }
        fn reconnect(&self, _: u16) {}
        fn close(&self) {}
    }

    #[test]
    fn what_is_packed_says_the_same() {
        let packed = |version: u64, rest: &[u8]| {
            unpacked(Reply::Bytes([&[2][..], &version.to_be_bytes(), rest].concat().into()))
        };
        let said = |rest| Some(vec![Reply::Int(2), Reply::Int(9), rest]);
        assert_eq!(packed(9, b""), said(Reply::Nil));
        assert_eq!(packed(9, b"head"), said(Reply::Bytes("head".into())));
        assert_eq!(unpacked(Reply::Array(said(Reply::Nil).unwrap())), said(Reply::Nil));
        assert_eq!(
            (packed(u64::MAX, b""), unpacked(Reply::Bytes("short".into())), unpacked(Reply::Nil)),
            (None, None, None)
        );
    }

    #[tokio::test]
    async fn a_write_whose_line_cannot_be_read_is_unknown() {
        let mut shared = RedisStore::builder("redis://127.0.0.1:1").unwrap().shared().unwrap();
        let runtime = tokio::runtime::Handle::current();
        shared.client = Guarded::new(Arc::new(Lineless), Arc::clone(&shared.clock), runtime);
        let address = Address::plain(&Space::new(None, &KeyspaceName::new("items").unwrap()), "k").unwrap();
        let item =
            SetItem { address: address.clone(), entry: NewEntry::new("v", Lifetime::UNLIMITED), when: When::Always };
        let (shared, scope) = (Arc::new(shared), Scope::default());
        let written = shared.set(vec![item], &scope).await.remove(0);
        assert_eq!(written.unwrap_err().kind(), ErrorKind::Unknown);
        let removed = shared.remove(std::slice::from_ref(&address), &scope).await.remove(0);
        assert_eq!(removed.unwrap_err().kind(), ErrorKind::Unknown);
    }
}
