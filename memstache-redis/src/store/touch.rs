//! Looking at, prolonging and ending entries and leases.

use std::time::Duration;

use bytes::Bytes;
use memstache_core::{Address, LeaseId, Lifetime, Result, Scope, Sequence, Tick, TouchItem, TouchKind, Version};

use super::{
    ask::{Answer, Manner},
    clocks::Floor,
    errors,
    plan::Plan,
    shared::Shared,
    tags::Doubt,
};
use crate::{
    client::Reply,
    layout::{Head, Hides},
    script::{Args, millis},
};

/// Rounds after which a new lifetime is given up: each is caused by another write.
const ROUNDS: usize = 8;

/// What the script does to one item.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Probe,
    Slide,
    /// A new lifetime for this version.
    Live(Version, Lifetime),
    Renew(LeaseId),
    Release(LeaseId),
    /// A lease whose load has not begun begins later.
    RaiseLease(LeaseId, Sequence),
    /// A value was written under a sequence that was outdated.
    RaiseValue(Version, Sequence),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    No,
    Yes(Option<Box<Head>>),
    Changed,
    Late,
}

impl Shared {
    /// Touches all items.
    pub(super) async fn touch(&self, items: &[TouchItem], scope: &Scope) -> Vec<Result<bool>> {
        let deadline = self.deadline(scope);
        let kinds: Vec<_> = items.iter().map(|item| (&item.address, first_step(item.kind))).collect();
        let mut touched = self.touch_seen(&kinds, deadline).await;
        for _ in 0..ROUNDS {
            let lives: Vec<_> =
                items.iter().enumerate().filter_map(|(at, item)| second_step(at, item, &touched[at])).collect();
            if lives.is_empty() {
                break;
            }
            let kinds: Vec<_> = lives.iter().map(|(at, kind)| (&items[*at].address, *kind)).collect();
            let again = self.touch_seen(&kinds, deadline).await;
            let mut looked = Vec::new();
            for ((at, _), answer) in lives.into_iter().zip(again) {
                match answer {
                    // Somebody wrote meanwhile, or the server's time was unknown: look again.
                    Ok(Touched::Changed | Touched::Late) if self.clock.now() < deadline => looked.push(at),
                    answer => {
                        touched[at] =
                            answer.map(|answer| if answer == Touched::No { Touched::No } else { Touched::Yes(None) })
                    }
                }
            }
            let kinds: Vec<_> = looked.iter().map(|at| (&items[*at].address, Kind::Probe)).collect();
            let seen = self.touch_seen(&kinds, deadline).await;
            looked.into_iter().zip(seen).for_each(|(at, seen)| touched[at] = seen);
        }
        let done = |(item, touched): (&TouchItem, Result<Touched>)| match (item.kind, touched?) {
            (TouchKind::Live(_), Touched::Yes(Some(_))) => Err(errors::too_late()),
            (_, touched) => Ok(matches!(touched, Touched::Yes(_))),
        };
        items.iter().zip(touched).map(done).collect()
    }

    /// Touches items, and takes what an invalidation hides for missing.
    pub(super) async fn touch_seen(&self, items: &[(&Address, Kind)], deadline: Tick) -> Vec<Result<Touched>> {
        let (plan, answers) = self.touch_plan(items, deadline).await;
        let (mut touched, mut doubts) = (Vec::new(), Vec::new());
        for (item, answer) in answers.into_iter().enumerate() {
            touched.push(answer.and_then(|answer| {
                let said = parse(&answer)?;
                let Touched::Yes(Some(head)) = &said else { return Ok(said) };
                Ok(match answer.line.hides(plan.places[item].space, &head.visible()) {
                    Hides::Yes => Touched::No,
                    Hides::No => said,
                    Hides::AskTags => {
                        doubts.push(Doubt { item, entry: head.visible() });
                        said
                    }
                })
            }));
        }
        if !doubts.is_empty() {
            let hidden = self.hidden_by_tags(&plan, &doubts, deadline).await;
            for (doubt, hidden) in doubts.iter().zip(hidden) {
                match hidden {
                    Ok(true) => touched[doubt.item] = Ok(Touched::No),
                    Ok(false) => {}
                    Err(error) => touched[doubt.item] = Err(error),
                }
            }
        }
        touched
    }

    /// Touches items whatever hides them.
    pub(super) async fn touch_raw(&self, items: &[(&Address, Kind)], deadline: Tick) -> Vec<Result<Touched>> {
        let (_, answers) = self.touch_plan(items, deadline).await;
        answers.into_iter().map(|answer| parse(&answer?)).collect()
    }

    async fn touch_plan(&self, items: &[(&Address, Kind)], deadline: Tick) -> (Plan, Vec<Result<Answer>>) {
        let plan = Plan::new(&self.keys, self.client.topology().cluster, items.iter().map(|(address, _)| *address));
        // Only a new lifetime is not the same when it happens twice or late; and that is fenced.
        let writes = items.iter().any(|(_, kind)| matches!(kind, Kind::Live(..)));
        let round = self
            .ask(
                &plan,
                &self.scripts.touch,
                Manner { deadline, writes },
                |_| Floor::default(),
                |args, fence, _| {
                    args.number(fence.not_after).millis(self.settings.lease_ttl);
                    args.number(millis(self.settings.line_life())).number(self.keys.prefix_len() as u64);
                },
                |args, item, _| self.put(items[item].1, args),
            )
            .await;
        (plan, round.items)
    }

    fn put(&self, kind: Kind, args: &mut Args) {
        let mut rest = [0; 4];
        match kind {
            Kind::Probe => args.word("p").word(""),
            Kind::Slide => args.word("s").word(""),
            Kind::Live(version, lifetime) => {
                let spans = self.spans(&lifetime);
                rest = [spans.fresh, spans.hard, spans.grace, spans.sliding];
                args.word("k").number(version.0)
            }
            Kind::Renew(lease) => args.word("r").id(lease.0),
            Kind::Release(lease) => args.word("f").id(lease.0),
            Kind::RaiseLease(lease, sequence) => {
                rest[0] = sequence.0;
                args.word("q").id(lease.0)
            }
            Kind::RaiseValue(version, sequence) => {
                rest[0] = sequence.0;
                args.word("u").number(version.0)
            }
        };
        rest.into_iter().for_each(|number| {
            args.number(number);
        });
    }

    /// Returns how long an entry with a lifetime is kept; what has no end gets one.
    pub(super) fn spans(&self, lifetime: &Lifetime) -> Spans {
        let hard = lifetime.ttl().unwrap_or(self.settings.max_ttl);
        let fresh = lifetime.sliding().map_or(hard, |window| window.min(hard));
        let sliding = lifetime.sliding().unwrap_or(Duration::ZERO);
        Spans {
            fresh: millis(fresh),
            hard: millis(hard),
            grace: millis(lifetime.stale_for()),
            sliding: millis(sliding),
        }
    }
}

/// A lifetime in ms.
pub(super) struct Spans {
    pub(super) fresh: u64,
    pub(super) hard: u64,
    pub(super) grace: u64,
    pub(super) sliding: u64,
}

fn first_step(kind: TouchKind) -> Kind {
    match kind {
        TouchKind::Slide => Kind::Slide,
        TouchKind::Renew(lease) => Kind::Renew(lease),
        TouchKind::Release(lease) => Kind::Release(lease),
        // A new lifetime is for what can be seen: look first.
        _ => Kind::Probe,
    }
}

fn second_step(at: usize, item: &TouchItem, touched: &Result<Touched>) -> Option<(usize, Kind)> {
    match (item.kind, touched) {
        (TouchKind::Live(lifetime), Ok(Touched::Yes(Some(head)))) => Some((at, Kind::Live(head.version, lifetime))),
        _ => None,
    }
}

fn parse(answer: &Answer) -> Result<Touched> {
    let [state, _, seen] = answer.reply.as_slice() else { return Err(errors::protocol()) };
    Ok(match state.as_u64() {
        Some(0) => Touched::No,
        Some(1) => Touched::Yes(head(seen)?.map(Box::new)),
        Some(2) => Touched::Changed,
        Some(3) => Touched::Late,
        _ => return Err(errors::protocol()),
    })
}

/// Reads a head that came without its value.
pub(super) fn head(reply: &Reply) -> Result<Option<Head>> {
    match reply {
        Reply::Nil => Ok(None),
        Reply::Bytes(stored) => Ok(Some(Head::parse(Bytes::clone(stored))?.0)),
        _ => Err(errors::protocol()),
    }
}
