//! Removing, and what stays for a while so that it is not undone.

use memstache_core::{Address, Result, Scope, Version};

use super::{ask::Manner, clocks::Floor, errors, plan::Plan, shared::Shared, tags::Doubt, touch};
use crate::{layout::Hides, script::millis};

/// Rounds after which a removal is given up: only an unknown time makes for a second one.
const ROUNDS: usize = 8;

impl Shared {
    /// Removes all items.
    pub(super) async fn remove(&self, items: &[Address], scope: &Scope) -> Vec<Result<bool>> {
        self.remove_versioned(items, scope).await.into_iter().map(|removed| removed.map(|(_, live)| live)).collect()
    }

    /// Removes all items; with the versions of the removals.
    pub(super) async fn remove_versioned(&self, items: &[Address], scope: &Scope) -> Vec<Result<(Version, bool)>> {
        let deadline = self.deadline(scope);
        let mut removed: Vec<Option<Result<(Version, bool)>>> = items.iter().map(|_| None).collect();
        let mut floors = vec![Floor::default(); items.len()];
        for _ in 0..ROUNDS {
            let open: Vec<_> = (0..items.len()).filter(|at| removed[*at].is_none()).collect();
            if open.is_empty() {
                break;
            }
            let plan = Plan::new(&self.keys, self.client.topology().cluster, open.iter().map(|at| &items[*at]));
            let round = self
                .ask(
                    &plan,
                    &self.scripts.remove,
                    Manner { deadline, writes: true },
                    |item| floors[open[item]],
                    |args, fence, _| {
                        args.number(fence.not_after).number(fence.stamp).millis(self.settings.tombstone_ttl);
                        args.number(millis(self.settings.line_life())).number(self.keys.prefix_len() as u64);
                    },
                    |_, _, _| {},
                )
                .await;
            let mut doubts = Vec::new();
            for (item, answer) in round.items.into_iter().enumerate() {
                let answer = answer.and_then(|answer| {
                    let [state, version, seen] = answer.reply.as_slice() else { return Err(errors::protocol()) };
                    let state = state.as_u64().ok_or_else(errors::protocol)?;
                    let version = Version(version.as_u64().ok_or_else(errors::protocol)?);
                    Ok((state, version, touch::head(seen)?, answer.line, answer.server_ms))
                });
                removed[open[item]] = match answer {
                    Err(error) => Some(Err(error)),
                    Ok((3, version, _, _, server_ms)) => {
                        let left = deadline.since(self.clock.now()).min(self.settings.write_timeout);
                        let floor = &mut floors[open[item]];
                        *floor = floor.max(Floor::new(version, server_ms, left));
                        left.is_zero().then(|| Err(errors::too_late()))
                    }
                    Ok((_, version, None, ..)) => Some(Ok((version, false))),
                    Ok((_, version, Some(head), line, _)) => {
                        let hides = line.hides(plan.places[item].space, &head.visible());
                        if hides == Hides::AskTags {
                            doubts.push(Doubt { item, entry: head.visible() });
                        }
                        Some(Ok((version, hides == Hides::No)))
                    }
                };
            }
            let hidden =
                if doubts.is_empty() { Vec::new() } else { self.hidden_by_tags(&plan, &doubts, deadline).await };
            for (doubt, hidden) in doubts.iter().zip(hidden) {
                // It is gone in any case; that it may have been hidden before is no reason to fail.
                if let Some(Ok((_, live))) = &mut removed[open[doubt.item]] {
                    *live = !hidden.unwrap_or(false);
                }
            }
        }
        removed.into_iter().map(|removed| removed.unwrap_or_else(|| Err(errors::too_late()))).collect()
    }
}
