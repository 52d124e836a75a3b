//! Looking at single tags, once a line has moved.

use futures_util::future::join_all;
use memstache_core::{Result, Tick};

use super::{
    ask::Manner,
    errors,
    plan::{Plan, Tenant},
    shared::Shared,
};
use crate::{
    client::Reply,
    layout::Visible,
    script::{Args, millis},
};

/// An entry that a tag of its own may hide.
pub(super) struct Doubt {
    /// Which item it is.
    pub(super) item: usize,
    pub(super) entry: Visible,
}

impl Shared {
    /// Returns for each doubt whether a tag of the entry was invalidated since; one round trip for all.
    pub(super) async fn hidden_by_tags(&self, plan: &Plan, doubts: &[Doubt], deadline: Tick) -> Vec<Result<bool>> {
        let asked = plan.tenants.iter().enumerate().map(|(at, tenant)| {
            let mine = doubts.iter().filter(move |doubt| plan.places[doubt.item].tenant == at);
            self.tags_of(plan, tenant, mine.collect(), deadline)
        });
        let mut hidden: Vec<Result<bool>> = doubts.iter().map(|_| Err(errors::protocol())).collect();
        for answers in join_all(asked).await {
            for (item, answer) in answers {
                let at = doubts.iter().position(|doubt| doubt.item == item).expect("asked about");
                hidden[at] = answer;
            }
        }
        hidden
    }

    async fn tags_of(
        &self,
        plan: &Plan,
        tenant: &Tenant,
        doubts: Vec<&Doubt>,
        deadline: Tick,
    ) -> Vec<(usize, Result<bool>)> {
        if doubts.is_empty() {
            return Vec::new();
        }
        self.counters.tag_checks(doubts.len());
        let mut args = Args::default();
        args.number(millis(self.settings.line_life()));
        for doubt in &doubts {
            let space = &tenant.spaces[plan.places[doubt.item].space];
            for tag in &doubt.entry.tags {
                args.bytes(format!("{space}:{}", tag.as_str()));
            }
        }
        let keys = [tenant.keys.line.clone(), tenant.keys.young.clone(), tenant.keys.old.clone()];
        let manner = Manner { deadline, writes: false, at_least: 0 };
        let answer = self.call(&self.scripts.tags, tenant.slot, &keys, args.as_slice(), manner).await;
        let expected = args.as_slice().len();
        let answer = answer.and_then(|answer| {
            let items = answer.into_array().filter(|items| items.len() == expected).ok_or_else(errors::protocol)?;
            items.iter().map(|item| Reply::as_u64(item).ok_or_else(errors::protocol)).collect::<Result<Vec<u64>>>()
        });
        let mut at = 1;
        let judged = doubts.iter().map(|doubt| {
            let tags = at..at + doubt.entry.tags.as_slice().len();
            at = tags.end;
            let newer = |sequences: &Vec<u64>| sequences[tags].iter().any(|seen| *seen > doubt.entry.sequence.0);
            (doubt.item, answer.as_ref().map(newer).map_err(Clone::clone))
        });
        judged.collect()
    }
}
