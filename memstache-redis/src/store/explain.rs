//! What is held of keys, and why it would not be answered; changes nothing.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use memstache_core::{Address, Reason, Result, Scope, Tick, TierReport};

use super::{
    errors,
    plan::{Group, Plan},
    shared::Shared,
    tags::Doubt,
};
use crate::{
    client::Reply,
    layout::{self, Head, Hides, Line},
};

/// The name of the store in explanations and health.
pub(crate) const TIER: &str = "redis";

/// What is there of one key.
struct There {
    value: Reply,
    lease: Reply,
    /// The server's time, ms.
    server_ms: u64,
}

impl Shared {
    /// Explains all items.
    pub(super) async fn explain(&self, items: &[Address], scope: &Scope) -> Vec<Result<Vec<TierReport>>> {
        let deadline = self.deadline(scope);
        let plan = Plan::new(&self.keys, self.client.topology().cluster, items.iter());
        let sent_at = self.clock.now();
        let values = join_all(plan.groups.iter().map(|group| self.look_into(&plan, group, deadline)));
        let lines = join_all(plan.tenants.iter().map(|tenant| self.line(tenant, deadline)));
        let (values, lines): (Vec<Result<Vec<There>>>, Vec<Result<Line>>) = join(values, lines).await;
        let lines: Vec<Result<Arc<Line>>> = lines.into_iter().map(|line| line.map(Arc::new)).collect();
        let mut reports: Vec<Result<TierReport>> = items.iter().map(|_| Err(errors::protocol())).collect();
        let mut doubts = Vec::new();
        for (group, there) in plan.groups.iter().zip(values) {
            let known = there.and_then(|there| Ok((there, lines[group.tenant].clone()?)));
            match known {
                Err(error) => group.items.iter().for_each(|at| reports[*at] = Err(error.clone())),
                Ok((there, line)) => {
                    for (at, there) in group.items.iter().zip(there) {
                        let (report, doubt) = report(&there, &line, plan.places[*at].space, sent_at);
                        doubts.extend(doubt.map(|head| Doubt { item: *at, entry: head.visible() }));
                        reports[*at] = Ok(report);
                    }
                }
            }
        }
        let hidden = if doubts.is_empty() { Vec::new() } else { self.hidden_by_tags(&plan, &doubts, deadline).await };
        for (doubt, hidden) in doubts.iter().zip(hidden) {
            match (hidden, &mut reports[doubt.item]) {
                (Ok(true), Ok(report)) => report.reason = Some(Reason::Tag),
                (Err(error), report) => *report = Err(error),
                _ => {}
            }
        }
        reports.into_iter().map(|report| report.map(|report| vec![report])).collect()
    }

    async fn look_into(&self, plan: &Plan, group: &Group, deadline: Tick) -> Result<Vec<There>> {
        let values = group.items.iter().map(|at| &plan.places[*at].key);
        let keys = values.flat_map(|key| [key.clone(), self.keys.lease_of(key)]).collect();
        // The values first: what is read of them is not older than the time.
        let values = self.read(group.slot, keys, deadline).await?;
        let server_ms = self.time(group.slot, deadline).await? / 1000;
        let mut values = values.into_iter();
        let next = || Some(There { value: values.next()?, lease: values.next()?, server_ms });
        Ok(std::iter::from_fn(next).collect())
    }
}

/// Says what is there, with the head whose tags are to be looked at.
fn report(there: &There, line: &Line, space: usize, sent_at: Tick) -> (TierReport, Option<Head>) {
    let loading = loading(&there.lease, line, space);
    let absent = |reason| (TierReport::absent(TIER, reason).with_loading(loading), None);
    let bytes = match &there.value {
        // Whether it was never there, ended or went for want of room, the server does not remember.
        Reply::Nil => return absent(Reason::NotHeld),
        Reply::Bytes(bytes) => Bytes::clone(bytes),
        _ => return absent(Reason::Rejected),
    };
    let Ok((head, envelope)) = Head::parse(bytes) else { return absent(Reason::Rejected) };
    if !head.present {
        return absent(Reason::Removed);
    }
    let Ok(entry) = layout::decode(&head, envelope, there.server_ms, sent_at) else { return absent(Reason::Rejected) };
    let mut report = TierReport::holds(TIER, entry).with_loading(loading);
    let hides = line.hides(space, &head.visible());
    report.reason = match hides {
        Hides::Yes if line.cleared(space) > head.sequence.0 => Some(Reason::Cleared),
        // Its tags were forgotten: they may have been invalidated.
        Hides::Yes => Some(Reason::Tag),
        _ if there.server_ms >= head.fresh_until.saturating_add(head.grace) => Some(Reason::Expired),
        _ => None,
    };
    let doubt = (hides == Hides::AskTags).then_some(head);
    (report, doubt)
}

/// Whether somebody holds a lease that no clear has ended.
fn loading(lease: &Reply, line: &Line, space: usize) -> bool {
    let Reply::Bytes(lease) = lease else { return false };
    let sequence = lease.get(8..16).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    sequence.is_some_and(|sequence| u64::from_be_bytes(sequence) >= line.cleared(space))
}

#[cfg(test)]
mod tests {
    use memstache_core::{LeaseId, Lifetime, NewEntry, Sequence, Tag, Tags, Version};

    use super::*;

    fn stored(head: &Head) -> Reply {
        let mut bytes = layout::write_head(head);
        bytes.extend_from_slice(&layout::payload(NewEntry::new("v", Lifetime::UNLIMITED))[layout::HEAD_LEN..]);
        Reply::Bytes(bytes.into())
    }

    #[test]
    fn one_row_for_each_reason() {
        let head = Head {
            present: true,
            negative: false,
            version: Version(9),
            written: 1_000,
            fresh_until: 11_000,
            hard_until: 11_000,
            grace: 5_000,
            sliding: 0,
            sequence: Sequence(5),
            filled_by: LeaseId(0),
            tags: Tags::NONE,
        };
        let damaged = Reply::Bytes("no head".into());
        let gone = stored(&Head { present: false, ..head.clone() });
        let tagged = stored(&Head { tags: Tags::new([Tag::new("red").unwrap()]).unwrap(), ..head });
        // Floors: all, tagged, space, last of the space.
        for (value, server_ms, floors, reason, ask) in [
            (Reply::Nil, 2_000, [0; 4], Some(Reason::NotHeld), false),
            (Reply::Int(1), 2_000, [0; 4], Some(Reason::Rejected), false),
            (damaged, 2_000, [0; 4], Some(Reason::Rejected), false),
            (gone, 2_000, [0; 4], Some(Reason::Removed), false),
            (stored(&head), 2_000, [0; 4], None, false),
            (stored(&head), 15_999, [0; 4], None, false),
            (stored(&head), 16_000, [0; 4], Some(Reason::Expired), false),
            (stored(&head), 2_000, [6, 0, 0, 0], Some(Reason::Cleared), false),
            (stored(&head), 2_000, [0, 0, 6, 6], Some(Reason::Cleared), false),
            (tagged.clone(), 2_000, [0, 6, 0, 0], Some(Reason::Tag), false),
            (tagged, 2_000, [0, 0, 0, 6], None, true),
        ] {
            let numbers: [i64; 5] = [9, floors[0], floors[1], floors[2], floors[3]];
            let line = Line::parse(&Reply::Array(numbers.map(Reply::Int).into()), 1).unwrap();
            let there = There { value, lease: Reply::Nil, server_ms };
            let (report, doubt) = report(&there, &line, 0, Tick::from_millis(1));
            assert_eq!((report.reason, doubt.is_some(), report.loading), (reason, ask, false), "{floors:?}");
        }
    }

    #[test]
    fn a_lease_from_before_a_clear_is_none() {
        let line = Line::parse(&Reply::Array([9, 0, 0, 6, 6].map(Reply::Int).into()), 1).unwrap();
        let lease = |sequence: u64| {
            let bytes = [7u64.to_be_bytes(), sequence.to_be_bytes()].concat();
            Reply::Bytes([&bytes[..], b"0"].concat().into())
        };
        assert!(loading(&lease(6), &line, 0) && !loading(&lease(5), &line, 0));
        assert!(!loading(&Reply::Nil, &line, 0) && !loading(&Reply::Bytes("short".into()), &line, 0));
    }
}
