//! Plain reads: what is fresh and seen needs no script.

use std::sync::Arc;

use futures_util::future::{join, join_all};
use memstache_core::{Entry, GetItem, Lookup, Result, Tick, Version};

use super::{
    get::{Mode, Question},
    plan::{Group, Plan},
    shared::Shared,
    tags::Doubt,
};
use crate::{
    client::Reply,
    layout::{self, Head, Hides, Line, Visible},
};

/// A value as it is stored, with what it takes to judge it.
struct Stored {
    reply: Reply,
    line: Arc<Line>,
    /// The latest that it may have been on the server when the read was sent, ms.
    server_ms: u64,
}

/// What a plain read says of an item: a fresh entry, with what is to be asked about its tags; or what it says instead.
type Said = std::result::Result<(Entry, Option<Visible>), Instead>;

/// What a plain read says of an item that is not fresh.
enum Instead {
    /// An invalidation hides it.
    Hidden(Version),
    /// Nothing is there.
    Nothing,
    /// It takes a script to say.
    Unclear,
}

impl Shared {
    /// Answers what can be answered without a script; what is left is asked of one.
    ///
    /// One `MGET` reads values and what hides them, on a Cluster one for each slot and one for each line: neither
    /// changes anything. A value is fresh if it is so by the latest time that it may be on the server. Scripts answer
    /// what that leaves open: what may be stale, what slides, what is to be leased.
    pub(super) async fn glance(&self, items: &[GetItem], questions: &mut [Question], mode: Mode, deadline: Tick) {
        let cluster = self.client.topology().cluster;
        let plan = Plan::of_reads(&self.keys, cluster, items.iter().map(|item| &item.address));
        let sent_at = self.clock.now();
        let found = self.read_values(&plan, cluster, sent_at, deadline).await;
        let mut doubts = Vec::new();
        for (item, (stored, question)) in found.into_iter().zip(&mut *questions).enumerate() {
            let stored = match stored {
                Ok(Some(stored)) => stored,
                Ok(None) => continue,
                Err(error) => {
                    question.answer = Some(Err(error));
                    continue;
                }
            };
            match judge(stored, plan.places[item].space, sent_at, items[item].unless) {
                Ok((entry, doubt)) => {
                    doubts.extend(doubt.map(|entry| Doubt { item, entry }));
                    question.answer = Some(Ok(Lookup::fresh(entry)));
                }
                Err(Instead::Hidden(version)) => question.miss(Some(version), mode),
                Err(Instead::Nothing) => question.miss(None, mode),
                Err(Instead::Unclear) => {}
            }
        }
        let hidden = if doubts.is_empty() { Vec::new() } else { self.hidden_by_tags(&plan, &doubts, deadline).await };
        for (doubt, hidden) in doubts.iter().zip(hidden) {
            let question = &mut questions[doubt.item];
            match hidden {
                Ok(true) => question.miss(Some(doubt.entry.version), mode),
                Ok(false) => {}
                Err(error) => question.answer = Some(Err(error)),
            }
        }
    }

    /// Reads the values of a plan; `None` for those of servers whose time is not known.
    async fn read_values(
        &self,
        plan: &Plan,
        cluster: bool,
        sent_at: Tick,
        deadline: Tick,
    ) -> Vec<Result<Option<Stored>>> {
        let latest = |group: &Group| self.clocks.latest(&self.client.server_of(group.slot), sent_at);
        let calls = plan.groups.iter().map(|group| async move {
            let Some(server_ms) = latest(group) else { return Ok(None) };
            let mut keys = Vec::with_capacity(group.items.len() + 2);
            keys.extend(group.items.iter().map(|at| plan.places[*at].key.clone()));
            if !cluster {
                keys.extend(plan.tenants[group.tenant].extract());
            }
            let mut replies = self.read(group.slot, keys, deadline).await?;
            let extract = replies.split_off(group.items.len());
            let line = if cluster { None } else { Some(self.line_of(plan, group.tenant, &extract, deadline).await?) };
            Ok(Some((server_ms, replies, line)))
        });
        let lines = (0..plan.tenants.len()).filter(|_| cluster).map(|tenant| async move {
            let extract =
                self.read(plan.tenants[tenant].slot, plan.tenants[tenant].extract().collect(), deadline).await?;
            self.line_of(plan, tenant, &extract, deadline).await
        });
        let (answers, lines): (Vec<Result<_>>, Vec<Result<Arc<Line>>>) = join(join_all(calls), join_all(lines)).await;
        let mut found: Vec<Result<Option<Stored>>> = plan.places.iter().map(|_| Ok(None)).collect();
        for (group, answer) in plan.groups.iter().zip(answers) {
            let judged = answer.and_then(|answer| {
                let Some((server_ms, replies, line)) = answer else { return Ok(None) };
                let line = line.map_or_else(|| lines[group.tenant].clone(), Ok)?;
                Ok(Some((server_ms, replies, line)))
            });
            match judged {
                Ok(None) => {}
                Ok(Some((server_ms, replies, line))) => {
                    for (at, reply) in group.items.iter().zip(replies) {
                        found[*at] = Ok(Some(Stored { reply, line: Arc::clone(&line), server_ms }));
                    }
                }
                Err(error) => group.items.iter().for_each(|at| found[*at] = Err(error.clone())),
            }
        }
        found
    }

    /// Reads a line of what was written down of it; a script does it anew if that is gone.
    ///
    /// A line that is read after the values hides at least what it should.
    async fn line_of(&self, plan: &Plan, tenant: usize, extract: &[Reply], deadline: Tick) -> Result<Arc<Line>> {
        let read = extract.split_first().and_then(|(tenant, spaces)| Line::parse_extract(tenant, spaces));
        match read {
            Some(line) => Ok(Arc::new(line)),
            None => self.line(&plan.tenants[tenant], deadline).await.map(Arc::new),
        }
    }
}

/// Says what is there.
fn judge(stored: Stored, space: usize, sent_at: Tick, unless: Option<Version>) -> Said {
    let Stored { reply, line, server_ms } = stored;
    let bytes = match reply {
        Reply::Nil => return Err(Instead::Nothing),
        Reply::Bytes(bytes) => bytes,
        _ => return Err(Instead::Unclear),
    };
    // What cannot be read is a script's to judge.
    let Ok((head, envelope)) = Head::parse(bytes) else { return Err(Instead::Unclear) };
    if !head.present || unless == Some(head.version) {
        return Err(Instead::Nothing);
    }
    if server_ms >= head.fresh_until || slides(&head, server_ms) {
        return Err(Instead::Unclear);
    }
    let hides = line.hides(space, &head.visible());
    if hides == Hides::Yes {
        return Err(Instead::Hidden(head.version));
    }
    match layout::decode(&head, envelope, server_ms, sent_at) {
        Ok(entry) => Ok((entry, (hides == Hides::AskTags).then(|| head.visible()))),
        Err(_) => Err(Instead::Unclear),
    }
}

impl Question {
    /// Answers that nothing is there, to who does not want to load it; else leaves it to a script, to which this version
    /// is none.
    fn miss(&mut self, version: Option<Version>, mode: Mode) {
        self.answer = (mode == Mode::Report).then_some(Ok(Lookup::Miss));
        self.pass_by = version.or(self.pass_by);
    }
}

/// Whether a hit at this time moves the end of a sliding entry.
fn slides(head: &Head, server_ms: u64) -> bool {
    let left = head.fresh_until.saturating_sub(server_ms);
    head.sliding > 0 && left.saturating_mul(10) < head.sliding.saturating_mul(9) && head.fresh_until < head.hard_until
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use memstache_core::{
        Address, BoxFuture, Clock as _, KeyspaceName, LeaseId, Lifetime, NewEntry, Scope, Sequence, Space, Tag, Tags,
        Version, testing::ManualClock,
    };
    use parking_lot::Mutex;
    use tokio::runtime::Handle;

    use super::*;
    use crate::{
        client::{Client, Command, Failure, Gather, Guarded, Node, Topology},
        store::RedisStore,
    };

    fn head() -> Head {
        Head {
            present: true,
            negative: false,
            version: Version(9),
            written: 1_000,
            fresh_until: 11_000,
            hard_until: 21_000,
            grace: 5_000,
            sliding: 0,
            sequence: Sequence(5),
            filled_by: LeaseId(0),
            tags: Tags::NONE,
        }
    }

    /// Judges at a time of the server, by a line whose floors are: all, tagged, space, last of the space.
    fn said(head: &Head, server_ms: u64, floors: [i64; 4]) -> (&'static str, bool) {
        let numbers: [i64; 5] = [9, floors[0], floors[1], floors[2], floors[3]];
        let line = Line::parse(&Reply::Array(numbers.map(Reply::Int).into()), 1).unwrap();
        let mut bytes = layout::write_head(head);
        let bare = NewEntry::new("v", Lifetime::UNLIMITED);
        bytes.extend_from_slice(&layout::payload(bare)[layout::HEAD_LEN..]);
        let stored = Stored { reply: Reply::Bytes(bytes.into()), line: Arc::new(line), server_ms };
        match judge(stored, 0, Tick::from_millis(1), None) {
            Ok((_, doubt)) => ("fresh", doubt.is_some()),
            Err(Instead::Hidden(_)) => ("hidden", false),
            Err(Instead::Nothing) => ("nothing", false),
            Err(Instead::Unclear) => ("unclear", false),
        }
    }

    const NONE: [i64; 4] = [0, 0, 0, 0];

    #[test]
    fn one_row_for_each_case() {
        let tags = Tags::new([Tag::new("red").unwrap()]).unwrap();
        let tagged = Head { tags, ..head() };
        let sliding = Head { sliding: 10_000, ..head() };
        let at_its_end = Head { hard_until: 11_000, ..sliding.clone() };
        for (head, server_ms, floors, wanted) in [
            (head(), 10_999, NONE, ("fresh", false)),
            (head(), 11_000, NONE, ("unclear", false)),
            (Head { present: false, ..head() }, 2_000, NONE, ("nothing", false)),
            (head(), 2_000, [6, 0, 0, 0], ("hidden", false)),
            (head(), 2_000, [0, 0, 6, 6], ("hidden", false)),
            (head(), 2_000, [0, 6, 0, 6], ("fresh", false)),
            (tagged.clone(), 2_000, [0, 6, 0, 0], ("hidden", false)),
            (tagged.clone(), 2_000, [0, 0, 0, 6], ("fresh", true)),
            (tagged, 2_000, [5, 5, 5, 5], ("fresh", false)),
            (sliding.clone(), 2_000, NONE, ("fresh", false)),
            (sliding, 2_001, NONE, ("unclear", false)),
            (at_its_end, 9_000, NONE, ("fresh", false)),
        ] {
            assert_eq!(said(&head, server_ms, floors), wanted, "{head:?} at {server_ms}, {floors:?}");
        }
    }

    #[test]
    fn a_fresh_value_is_dated_by_the_latest_time() {
        let zeros = |count| Reply::Bytes(vec![0; count].into());
        let line = Arc::new(Line::parse_extract(&zeros(24), &[zeros(16)]).unwrap());
        let (mut bytes, server_ms) = (layout::write_head(&head()), 4_000);
        bytes.extend_from_slice(&layout::payload(NewEntry::new("v", Lifetime::UNLIMITED))[layout::HEAD_LEN..]);
        let stored = |reply| Stored { reply, line: Arc::clone(&line), server_ms };
        let judged = |unless| judge(stored(Reply::Bytes(bytes.clone().into())), 0, Tick::from_millis(100_000), unless);
        let Ok((entry, _)) = judged(None) else { panic!("it is fresh") };
        assert_eq!(entry.meta.fresh_until, Tick::from_millis(107_000));
        assert!(matches!(judged(Some(Version(9))), Err(Instead::Nothing)), "asked for anything else");
        for reply in [Reply::Int(1), Reply::Bytes("no head".into())] {
            assert!(matches!(judge(stored(reply), 0, Tick::from_millis(1), None), Err(Instead::Unclear)));
        }
        assert!(matches!(judge(stored(Reply::Nil), 0, Tick::from_millis(1), None), Err(Instead::Nothing)));
    }

    /// A server that notes what it is asked, and has one value.
    #[derive(Debug, Default)]
    struct Noting {
        asked: Mutex<Vec<&'static str>>,
        has: Mutex<Option<Bytes>>,
    }

    impl Client for Noting {
        fn send(&self, _: u16, command: Command, _: Duration) -> BoxFuture<'static, Result<Reply, Failure>> {
            self.asked.lock().push(command.name);
            let zeros = |count| Reply::Bytes(vec![0; count].into());
            let value = self.has.lock().clone().map_or(Reply::Nil, Reply::Bytes);
            let answer = match command.name {
                "MGET" => Ok(Reply::Array(vec![value, zeros(24), zeros(16)])),
                _ => Err(Failure::Server("NOPERM".to_owned())),
            };
            Box::pin(async { answer })
        }
        fn topology(&self) -> Arc<Topology> {
            Arc::new(Topology { cluster: false, nodes: vec![Node::new("h".into(), 1, None)] })
        }
        fn reconnect(&self, _: u16) {}
        fn close(&self) {}
    }

    #[tokio::test]
    async fn what_is_fresh_or_missing_is_one_plain_command() {
        let (server, clock) = (Arc::new(Noting::default()), ManualClock::new());
        let mut shared = RedisStore::builder("redis://127.0.0.1:1").unwrap().clock(clock.clone()).shared().unwrap();
        shared.client = Guarded::new(Arc::clone(&server) as Arc<dyn Client>, Arc::new(clock), Handle::current());
        shared.gather = Gather::new(shared.client.clone(), Handle::current());
        let address = Address::plain(&Space::new(None, &KeyspaceName::new("items").unwrap()), "k").unwrap();
        let now = shared.clock.now();
        let look = async |mode| {
            server.asked.lock().clear();
            let found = shared.look(&[address.clone().into()], mode, &Scope::default()).await.0.remove(0);
            (found.map_err(|error| error.kind()), server.asked.lock().clone())
        };
        let unknown = look(Mode::Report).await;
        assert_eq!((unknown.0.is_err(), unknown.1), (true, vec!["EVALSHA"]), "it is not known how late it is there");
        shared.clocks.note(&"h:1".into(), 2_000_000, now, now);
        let missing = look(Mode::Report).await;
        assert!(matches!(missing.0, Ok(Lookup::Miss)) && missing.1 == ["MGET"], "{missing:?}");
        assert_eq!(look(Mode::Lease).await.1, ["MGET", "EVALSHA"], "leases are granted by scripts");
        let mut bytes = layout::write_head(&Head { sequence: Sequence(0), ..head() });
        bytes.extend_from_slice(&layout::payload(NewEntry::new("v", Lifetime::UNLIMITED))[layout::HEAD_LEN..]);
        *server.has.lock() = Some(bytes.into());
        for mode in [Mode::Report, Mode::Lease] {
            let (found, asked) = look(mode).await;
            assert!(matches!(&found, Ok(Lookup::Hit(entry)) if &entry.value[..] == b"v"), "{found:?}");
            assert_eq!(asked, ["MGET"]);
        }
        assert_eq!(look(Mode::Wait).await.1, ["EVALSHA"], "who waits was told that nothing is there");
    }
}
