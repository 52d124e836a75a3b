//! Looking at single tags, once a line has moved.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use futures_util::future::{join_all, try_join_all};
use memstache_core::{Result, Tick};

use super::{
    ask::Manner,
    errors,
    plan::{Plan, Tenant},
    shared::Shared,
};
use crate::{
    layout::Visible,
    script::{Args, millis},
};

/// Tags that one script looks up at most: a script holds up everything else of its server.
const MOST: usize = 512;

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
        let (mut fields, mut known) = (Vec::new(), HashMap::<_, _, RandomState>::default());
        // Where each tag of each entry is among the fields: those that are asked about in common are asked once.
        let mut places = Vec::new();
        for doubt in &doubts {
            let space = plan.places[doubt.item].space;
            for tag in &doubt.entry.tags {
                places.push(*known.entry((space, tag.as_str())).or_insert_with(|| {
                    fields.push(format!("{}:{}", tenant.spaces[space], tag.as_str()));
                    fields.len() - 1
                }));
            }
        }
        let asked = fields.chunks(MOST).map(|fields| self.ask_tags(tenant, fields, deadline));
        let answer = try_join_all(asked).await.map(|answers| answers.concat());
        let mut at = 0;
        let judged = doubts.iter().map(|doubt| {
            let tags = at..at + doubt.entry.tags.as_slice().len();
            at = tags.end;
            let newer = |seen: &Vec<u64>| places[tags].iter().any(|place| seen[*place] > doubt.entry.sequence.0);
            (doubt.item, answer.as_ref().map(newer).map_err(Clone::clone))
        });
        judged.collect()
    }

    /// Returns the sequence of the last invalidation of each tag.
    async fn ask_tags(&self, tenant: &Tenant, fields: &[String], deadline: Tick) -> Result<Vec<u64>> {
        let mut args = Args::default();
        args.number(millis(self.settings.line_life()));
        fields.iter().for_each(|field| {
            args.text(field);
        });
        let keys = [tenant.keys.line.clone(), tenant.keys.young.clone(), tenant.keys.old.clone()];
        let manner = Manner { deadline, writes: false };
        let answer = self.call(&self.scripts.tags, tenant.slot, &keys, args.as_slice(), manner).await?;
        let items = answer.into_array().filter(|items| items.len() == 1 + fields.len()).ok_or_else(errors::protocol)?;
        items[1..].iter().map(|item| item.as_u64().ok_or_else(errors::protocol)).collect()
    }
}
