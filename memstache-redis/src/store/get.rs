//! Reading, and asking for the right to load.

use std::time::Duration;

use bytes::Bytes;
use memstache_core::{Entry, GetItem, Lease, LeaseId, Lookup, OnMiss, Result, Scope, Sequence, Tick, Version};

use super::{
    ask::{Answer, Manner},
    clocks::Floor,
    errors,
    plan::Plan,
    shared::Shared,
    tags::Doubt,
    touch::Kind,
};
use crate::{
    client::Reply,
    layout::{self, Head, Hides},
    script::millis,
};

/// Rounds after which a read gives up: each is caused by a change since the one before.
const ROUNDS: usize = 8;

/// How long a lease on a Cluster has to be corrected by who was granted it.
const SECOND_LOOK: Duration = Duration::from_millis(20);

/// What a look does about missing keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Report,
    Lease,
    /// And is told of the end of leases that are in the way.
    Wait,
    /// Is told, and grants nothing: what is free is answered as missing.
    Peek,
}

impl From<OnMiss> for Mode {
    fn from(on_miss: OnMiss) -> Self {
        match on_miss {
            OnMiss::Lease => Self::Lease,
            OnMiss::Wait => Self::Wait,
            _ => Self::Report,
        }
    }
}

/// One item on its way to an answer.
pub(super) struct Question {
    pub(super) pass_by: Option<Version>,
    supersede: Option<LeaseId>,
    nonce: u64,
    pub(super) answer: Option<Result<Lookup>>,
    /// How long the lease of somebody else lives, if nobody renews it.
    busy_for: Duration,
    /// The line as it was read beside.
    line: Option<Sequence>,
    /// A lease that seems to be from before a clear. On a Cluster it may be new, and about to be corrected.
    outdated: Option<LeaseId>,
    /// Whether the script has moved its end.
    slid: bool,
}

/// What a script said about one item.
struct Said {
    value: Option<(Head, Bytes)>,
    lease: LeaseState,
}

#[derive(Clone, Copy)]
enum LeaseState {
    None,
    Granted { id: LeaseId, sequence: Sequence },
    Busy { id: LeaseId, sequence: Sequence, left: Duration },
    Late,
    Free,
}

impl Shared {
    /// Looks up all items; busy ones are not waited for. With the shortest remaining time of the leases that are in the
    /// way.
    pub(super) async fn look(
        &self,
        items: &[GetItem],
        mode: Mode,
        scope: &Scope,
    ) -> (Vec<Result<Lookup>>, Option<Duration>) {
        let deadline = self.deadline(scope);
        let mut questions: Vec<_> = items.iter().map(Question::new).collect();
        // Who waits was told that nothing is there.
        let glances = matches!(mode, Mode::Report | Mode::Lease);
        // Of a batch a plain read answers most.
        let guessed = items.first().map(|item| &item.address).filter(|_| glances && items.len() == 1);
        if glances && guessed.is_none_or(|address| !self.prospects.are_bad(address, mode)) {
            self.glance(items, &mut questions, mode, deadline).await;
        }
        let glanced = questions.first().is_some_and(|question| question.answer.is_some());
        for _ in 0..ROUNDS {
            let open: Vec<_> = (0..items.len()).filter(|at| questions[*at].answer.is_none()).collect();
            if open.is_empty() {
                break;
            }
            if open.iter().any(|at| questions[*at].is_to_be_seen_again()) {
                self.clock.sleep_until(self.clock.now().after(SECOND_LOOK).min(deadline)).await;
            }
            self.look_once(items, &open, &mut questions, mode, scope, deadline).await;
        }
        if let Some(address) = guessed
            && let Some(Ok(found)) = &questions[0].answer
        {
            self.prospects.note(address, mode, !glanced && !is_plain(found, &questions[0]));
        }
        let busy = |question: &&Question| matches!(question.answer, Some(Ok(Lookup::Busy(_))));
        let busy_for = questions.iter().filter(busy).map(|question| question.busy_for).min();
        let found = questions.into_iter().map(|question| question.answer.unwrap_or_else(|| Err(errors::too_late())));
        (found.collect(), busy_for)
    }

    async fn look_once(
        &self,
        items: &[GetItem],
        open: &[usize],
        questions: &mut [Question],
        mode: Mode,
        scope: &Scope,
        deadline: Tick,
    ) {
        let cluster = self.client.topology().cluster;
        let plan = Plan::new(&self.keys, cluster, open.iter().map(|at| &items[*at].address));
        let word = match mode {
            Mode::Report => "r",
            Mode::Lease => "l",
            Mode::Wait => "w",
            Mode::Peek => "p",
        };
        let round = self
            .ask(
                &plan,
                &self.scripts.get,
                Manner { deadline, writes: false },
                |_| Floor::default(),
                |args, fence, sequence| {
                    args.word(word).millis(self.settings.lease_ttl).number(fence.not_after);
                    match scope.max_staleness {
                        Some(most) => args.millis(most),
                        None => args.word("-1"),
                    };
                    args.number(sequence.0)
                        .number(millis(self.settings.line_life()))
                        .number(self.keys.prefix_len() as u64);
                },
                |args, item, _| {
                    let question = &questions[open[item]];
                    match question.pass_by {
                        Some(version) => args.number(version.0),
                        None => args.word(""),
                    };
                    match question.supersede {
                        Some(lease) => args.id(lease.0),
                        None => args.word(""),
                    };
                    args.id(question.nonce);
                },
            )
            .await;
        let (mut said, mut doubts) = (Vec::new(), Vec::new());
        for (item, answer) in round.items.into_iter().enumerate() {
            let parsed = answer.and_then(|answer| Ok((Said::parse(&answer)?, answer)));
            if let Ok((Said { value: Some((head, _)), .. }, answer)) = &parsed
                && answer.line.hides(plan.places[item].space, &head.visible()) == Hides::AskTags
            {
                doubts.push(Doubt { item, entry: head.visible() });
            }
            said.push(parsed);
        }
        let hidden = if doubts.is_empty() { Vec::new() } else { self.hidden_by_tags(&plan, &doubts, deadline).await };
        for (item, parsed) in said.into_iter().enumerate() {
            let by_tags = doubts.iter().position(|doubt| doubt.item == item).map(|at| hidden[at].clone());
            let question = &mut questions[open[item]];
            let judged = parsed.and_then(|(said, answer)| {
                question.line = Some(answer.line.sequence);
                let by_tags = by_tags.transpose()?.unwrap_or(false);
                judge(question, said, &answer, plan.places[item].space, by_tags, mode, self.settings.lease_ttl)
            });
            question.answer = judged.unwrap_or_else(|error| Some(Err(error)));
        }
        if cluster {
            self.raise_leases(items, open, questions, deadline).await;
        }
    }

    /// Lets leases that were granted under an outdated sequence begin at the one that was read meanwhile: their loads
    /// have not begun.
    async fn raise_leases(&self, items: &[GetItem], open: &[usize], questions: &mut [Question], deadline: Tick) {
        let mut raised = Vec::new();
        for at in open {
            let question = &mut questions[*at];
            let (Some(Ok(Lookup::Leased(lease) | Lookup::Stale(_, Some(lease)))), Some(sequence)) =
                (&mut question.answer, question.line)
            else {
                continue;
            };
            if sequence > lease.sequence {
                lease.sequence = sequence;
                raised.push((&items[*at].address, Kind::RaiseLease(lease.id, sequence)));
            }
        }
        if !raised.is_empty() {
            // What stays under the older sequence is hidden by what came since: a miss, never an outdated answer.
            self.touch_raw(&raised, deadline).await;
        }
    }
}

/// Whether a plain read would have found the same.
fn is_plain(found: &Lookup, question: &Question) -> bool {
    match found {
        Lookup::Hit(_) | Lookup::Negative(..) => !question.slid,
        Lookup::Miss => true,
        _ => false,
    }
}

impl Question {
    fn new(item: &GetItem) -> Self {
        Self {
            pass_by: item.unless,
            supersede: None,
            // Zero stands for no lease.
            nonce: item.lease.map(|id| id.0).filter(|id| *id != 0).unwrap_or_else(|| fastrand::u64(1..)),
            answer: None,
            busy_for: Duration::ZERO,
            line: None,
            outdated: None,
            slid: false,
        }
    }
}

impl Question {
    fn is_to_be_seen_again(&self) -> bool {
        self.outdated.is_some() && self.outdated != self.supersede
    }

    /// Asks for a lease in the place of one from before a clear; on a Cluster only after a second look.
    fn supersede(&mut self, lease: LeaseId, answer: &Answer) {
        if answer.sent_under.is_none() || self.outdated == Some(lease) {
            self.supersede = Some(lease);
        }
        self.outdated = Some(lease);
    }
}

impl Said {
    fn parse(answer: &Answer) -> Result<Self> {
        let [value, state, id, sequence, left] = answer.reply.as_slice() else { return Err(errors::protocol()) };
        let value = match value {
            Reply::Nil => None,
            Reply::Bytes(stored) => Some(Head::parse(stored.clone())?),
            _ => return Err(errors::protocol()),
        };
        let lease = || {
            let Reply::Bytes(id) = id else { return Err(errors::protocol()) };
            let id = <[u8; 8]>::try_from(&id[..]).map_err(|_| errors::protocol())?;
            let sequence = sequence.as_u64().ok_or_else(errors::protocol)?;
            Ok((LeaseId(u64::from_be_bytes(id)), Sequence(sequence)))
        };
        let lease = match state.as_u64() {
            Some(0) => LeaseState::None,
            Some(1) => lease().map(|(id, sequence)| LeaseState::Granted { id, sequence })?,
            Some(2) => {
                // A lease that has just aged out has a negative rest.
                let left = Duration::from_millis(left.as_u64().unwrap_or(0));
                lease().map(|(id, sequence)| LeaseState::Busy { id, sequence, left })?
            }
            Some(3) => LeaseState::Late,
            Some(4) => LeaseState::Free,
            _ => return Err(errors::protocol()),
        };
        Ok(Self { value, lease })
    }
}

/// Answers a question, or changes it to be asked again.
fn judge(
    question: &mut Question,
    said: Said,
    answer: &Answer,
    space: usize,
    hidden_by_tags: bool,
    mode: Mode,
    lease_ttl: Duration,
) -> Result<Option<Result<Lookup>>> {
    let granted = |id, sequence| Lease { id, sequence, ttl: lease_ttl };
    if let Some((head, envelope)) = said.value {
        let hidden = hidden_by_tags || answer.line.hides(space, &head.visible()) == Hides::Yes;
        if hidden {
            if mode == Mode::Report {
                return Ok(Some(Ok(Lookup::Miss)));
            }
            question.pass_by = Some(head.version);
            return Ok(None);
        }
        let stale = answer.server_ms >= head.fresh_until;
        let entry: Entry = layout::decode(&head, envelope, answer.server_ms, answer.sent_at)?;
        if !stale {
            // To the millisecond: by this script, or by another in the same.
            question.slid = head.sliding > 0 && head.fresh_until == answer.server_ms + head.sliding;
            return Ok(Some(Ok(Lookup::fresh(entry))));
        }
        return Ok(match said.lease {
            LeaseState::Granted { id, sequence } => Some(Ok(Lookup::Stale(entry, Some(granted(id, sequence))))),
            LeaseState::Busy { id, sequence, .. } if answer.line.cleared(space) > sequence.0 => {
                question.supersede(id, answer);
                None
            }
            LeaseState::Late => None,
            LeaseState::None | LeaseState::Free | LeaseState::Busy { .. } => Some(Ok(Lookup::Stale(entry, None))),
        });
    }
    Ok(match said.lease {
        LeaseState::None | LeaseState::Free => Some(Ok(Lookup::Miss)),
        LeaseState::Granted { id, sequence } => Some(Ok(Lookup::Leased(granted(id, sequence)))),
        // Whoever loads began before a clear: another is to load anew.
        LeaseState::Busy { id, sequence, .. } if answer.line.cleared(space) > sequence.0 => {
            question.supersede(id, answer);
            None
        }
        LeaseState::Busy { id, sequence, left } => {
            question.busy_for = left;
            let joinable = answer.line.changed(space) <= sequence.0;
            Some(Ok(Lookup::Busy(joinable.then_some(id))))
        }
        LeaseState::Late => None,
    })
}
