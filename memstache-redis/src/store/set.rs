//! Storing under a condition.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use memstache_core::{
    Address, Error, ErrorKind, LeaseId, NewEntry, Result, Scope, Sequence, SetItem, Tick, Version, When, Written,
};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    ask::Answer,
    clocks::Floor,
    errors,
    plan::Plan,
    shared::Shared,
    tags::Doubt,
    touch::{self, Kind, Spans, Touched},
    writes::{Order, Outcome},
};
use crate::{
    builder::OnOversize,
    layout::{self, Hides},
};

/// Rounds after which a write is given up: each is caused by a change since the one before, or by an unknown time.
const ROUNDS: usize = 8;

/// One write on its way.
pub(super) struct Draft {
    address: Address,
    when: When,
    /// The version over which it is written, once it is known to be seen.
    over: Option<Version>,
    /// A version that counts as absent, because an invalidation hides it.
    absent: Option<Version>,
    flags: u8,
    spans: Spans,
    payload: Bytes,
    has_tags: bool,
    /// What its fence must reach, once it was refused as late.
    floor: Floor,
    answer: Option<Result<Written>>,
}

/// What a script said about one write.
enum Said {
    Stored(Version),
    Refused(Option<Box<layout::Head>>),
    Late(Version),
}

impl Shared {
    /// Stores all items.
    pub(super) async fn set(self: &Arc<Self>, items: Vec<SetItem>, scope: &Scope) -> Vec<Result<Written>> {
        let deadline = self.deadline(scope);
        let room = match self.room_for(&items) {
            Ok(room) => Arc::new(room),
            Err(error) => return super::ask::all(items.len(), &error),
        };
        let mut drafts = Vec::with_capacity(items.len());
        let mut declined = Vec::new();
        for item in items {
            if let Err(error) = self.check(&item.entry) {
                let answer = Some(Err(error.clone()));
                declined.push((drafts.len(), item.clone(), error));
                drafts.push(Draft { answer, ..self.draft(item) });
            } else {
                drafts.push(self.draft(item));
            }
        }
        // In the order of the batch: what a later item stores stays.
        let (before, after): (Vec<_>, Vec<_>) = declined.into_iter().partition(|(at, item, _)| {
            drafts[at + 1..].iter().any(|later| later.answer.is_none() && later.address == item.address)
        });
        for (at, item, error) in before {
            drafts[at].answer = Some(self.decline(&item, error, scope).await);
        }
        for _ in 0..ROUNDS {
            self.find_versions(&mut drafts, deadline).await;
            let open: Vec<_> = (0..drafts.len()).filter(|at| drafts[*at].answer.is_none()).collect();
            if open.is_empty() {
                break;
            }
            self.set_once(&mut drafts, &open, &room, deadline).await;
        }
        for (at, item, error) in after {
            drafts[at].answer = Some(self.decline(&item, error, scope).await);
        }
        drafts.into_iter().map(|draft| draft.answer.unwrap_or_else(|| Err(errors::too_late()))).collect()
    }

    /// Sends all open drafts.
    async fn set_once(
        self: &Arc<Self>,
        drafts: &mut [Draft],
        open: &[usize],
        room: &Arc<OwnedSemaphorePermit>,
        deadline: Tick,
    ) {
        let mut orders: Vec<_> = open.iter().map(|at| drafts[*at].order(deadline)).collect();
        let outcomes = match (orders.pop(), orders.is_empty()) {
            (Some(one), true) => vec![self.order_together(one, Arc::clone(room)).await],
            (last, _) => {
                orders.extend(last);
                self.order(&orders).await
            }
        };
        let (mut doubts, mut raised) = (Vec::new(), Vec::new());
        for (item, outcome) in outcomes.into_iter().enumerate() {
            let draft = &mut drafts[open[item]];
            let said = outcome.and_then(|outcome| Ok((parse(&outcome.answer)?, outcome)));
            draft.answer = match said {
                Err(error) => Some(Err(error)),
                Ok((Said::Stored(version), Outcome { answer, space })) => {
                    raised.extend(draft.raise(version, &answer, space).map(|kind| (open[item], kind)));
                    Some(Ok(Written::Stored(version)))
                }
                Ok((Said::Late(version), Outcome { answer, .. })) => {
                    // Who still waits is not late: its time was unknown, the entry is ahead of the server's clock, or it
                    // was removed a moment ago.
                    let left = deadline.since(self.clock.now()).min(self.settings.write_timeout);
                    draft.floor = draft.floor.max(Floor::new(version, answer.server_ms, left));
                    left.is_zero().then(|| Err(errors::too_late()))
                }
                Ok((Said::Refused(Some(head)), Outcome { answer, space })) => {
                    match answer.line.hides(space, &head.visible()) {
                        Hides::No => Some(Ok(Written::Refused)),
                        Hides::Yes => {
                            draft.absent = Some(head.version);
                            None
                        }
                        Hides::AskTags => {
                            doubts.push(Doubt { item, entry: head.visible() });
                            None
                        }
                    }
                }
                // Written over meanwhile: whether something is there is asked anew.
                Ok((Said::Refused(None), _)) if matches!(draft.when, When::IfPresent) => {
                    draft.over = None;
                    None
                }
                Ok((Said::Refused(None), _)) => Some(Ok(Written::Refused)),
            };
        }
        let hidden = if doubts.is_empty() {
            Vec::new()
        } else {
            let cluster = self.client.topology().cluster;
            let plan = Plan::new(&self.keys, cluster, open.iter().map(|at| &drafts[*at].address));
            self.hidden_by_tags(&plan, &doubts, deadline).await
        };
        for (doubt, hidden) in doubts.iter().zip(hidden) {
            let draft = &mut drafts[open[doubt.item]];
            match hidden {
                Ok(true) => draft.absent = Some(doubt.entry.version),
                Ok(false) => draft.answer = Some(Ok(Written::Refused)),
                Err(error) => draft.answer = Some(Err(error)),
            }
        }
        if !raised.is_empty() {
            let kinds: Vec<_> = raised.iter().map(|(at, kind)| (&drafts[*at].address, *kind)).collect();
            let corrected = self.touch_raw(&kinds, deadline).await;
            for ((at, _), corrected) in raised.into_iter().zip(corrected) {
                // It is there, under a sequence that hides it.
                if corrected.is_err() {
                    drafts[at].answer = Some(Err(errors::unseen()));
                }
            }
        }
    }

    /// Looks up the version over which a conditional write goes: only what is seen counts as there.
    async fn find_versions(&self, drafts: &mut [Draft], deadline: Tick) {
        let needs = |draft: &Draft| {
            let conditional = matches!(draft.when, When::IfPresent | When::IfVersion(_));
            draft.answer.is_none() && draft.over.is_none() && conditional
        };
        let open: Vec<_> = (0..drafts.len()).filter(|at| needs(&drafts[*at])).collect();
        if open.is_empty() {
            return;
        }
        let kinds: Vec<_> = open.iter().map(|at| (&drafts[*at].address, Kind::Probe)).collect();
        let seen = self.touch_seen(&kinds, deadline).await;
        for (at, seen) in open.into_iter().zip(seen) {
            let draft = &mut drafts[at];
            let version = match seen {
                Ok(Touched::Yes(Some(head))) => Some(head.version),
                Ok(_) => None,
                Err(error) => {
                    draft.answer = Some(Err(error));
                    continue;
                }
            };
            let fits = |version: &Version| !matches!(draft.when, When::IfVersion(wanted) if wanted != *version);
            draft.over = version.filter(fits);
            if draft.over.is_none() {
                draft.answer = Some(Ok(Written::Refused));
            }
        }
    }

    fn check(&self, entry: &NewEntry) -> Result<()> {
        if entry.options.encrypt == Some(true) && !entry.content.sealed {
            return Err(Error::new(ErrorKind::Unsupported, "nothing in this stack seals values"));
        }
        let (limit, given) = (self.settings.max_value_bytes, entry.value.len());
        if given > limit {
            let detail = format!("value must be at most {limit} bytes long, but {given} bytes was given");
            return Err(Error::new(ErrorKind::TooLarge, detail));
        }
        Ok(())
    }

    /// Leaves nothing behind that a write has declared wrong which cannot be stored.
    async fn decline(&self, item: &SetItem, error: Error, scope: &Scope) -> Result<Written> {
        let skips = error.kind() == ErrorKind::TooLarge && self.settings.on_oversize == OnOversize::Skip;
        if error.kind() == ErrorKind::TooLarge {
            self.counters.oversized();
        }
        let version = match item.when {
            When::Always => Some(self.remove_versioned(std::slice::from_ref(&item.address), scope).await.remove(0)?.0),
            When::IfLease(lease) => {
                let released = [(&item.address, Kind::Release(lease))];
                let stood = self.touch_raw(&released, self.deadline(scope)).await.remove(0)?;
                (stood != Touched::No).then_some(Version(0))
            }
            _ => None,
        };
        match version {
            _ if !skips => Err(error),
            Some(version) => Ok(Written::Stored(version)),
            None => Ok(Written::Refused),
        }
    }

    pub(super) fn draft(&self, item: SetItem) -> Draft {
        let SetItem { address, entry, when } = item;
        let mut spans = self.spans(&entry.lifetime);
        if entry.content.negative {
            // There is nothing to serve stale.
            spans.grace = 0;
        }
        let flags = layout::flags(entry.content.negative);
        let has_tags = !entry.tags.is_empty();
        Draft {
            address,
            when,
            over: None,
            absent: None,
            flags,
            spans,
            payload: layout::payload(entry),
            has_tags,
            floor: Floor::default(),
            answer: None,
        }
    }
}

impl Draft {
    pub(super) fn order(&self, deadline: Tick) -> Order {
        let (address, payload) = (self.address.clone(), self.payload.clone());
        Order { address, terms: self.terms(), payload, deadline, floor: self.floor }
    }

    /// Writes down condition and lifetime.
    fn terms(&self) -> Bytes {
        let (when, wanted) = match (self.when, self.over) {
            (When::IfAbsent, _) => (b'n', 0),
            (When::IfLease(LeaseId(lease)), _) => (b'l', lease),
            (_, Some(version)) => (b'v', version.0),
            _ => (b'a', 0),
        };
        let Spans { fresh, hard, grace, sliding } = self.spans;
        let mut terms = BytesMut::with_capacity(50);
        terms.put_u8(when);
        terms.put_u64(wanted);
        terms.put_u64(self.absent.map_or(0, |version| version.0));
        terms.put_u8(self.flags);
        [fresh, hard, grace, sliding].into_iter().for_each(|span| terms.put_u64(span));
        terms.freeze()
    }

    /// Returns how to correct a value that was stored under an outdated sequence, so that what came before the write
    /// does not hide it.
    fn raise(&self, version: Version, answer: &Answer, space: usize) -> Option<Kind> {
        let Sequence(under) = answer.sent_under.filter(|_| !matches!(self.when, When::IfLease(_)))?;
        let line = &answer.line;
        let hidden = line.cleared(space) > under || (self.has_tags && line.sequence.0 > under);
        hidden.then_some(Kind::RaiseValue(version, line.sequence))
    }
}

fn parse(answer: &Answer) -> Result<Said> {
    let [state, version, seen] = answer.reply.as_slice() else { return Err(errors::protocol()) };
    let version = Version(version.as_u64().ok_or_else(errors::protocol)?);
    Ok(match state.as_u64() {
        Some(1) => Said::Stored(version),
        Some(2) => Said::Refused(touch::head(seen)?.map(Box::new)),
        Some(3) => Said::Late(version),
        _ => return Err(errors::protocol()),
    })
}
