//! Orders to let go of a tenant's keys, and who has followed them.

use std::{collections::HashSet, time::Duration};

use bytes::{BufMut, Bytes};
use futures_util::{
    StreamExt,
    future::{Either, select},
};
use memstache_core::{Expected, Record, RecordStream, Result};

use super::{
    Inner,
    nodes::{Node, last_segment, read_stamp, stamp},
    places::{OrderRef, hex},
};

/// How often answers are looked for where changes are not told.
const LOOK: Duration = Duration::from_millis(500);

// An order is a moment (see `nodes`), one byte (1 if the records were erased without an end to each key), and the name of
// the node that gave it. An answer is empty.

/// An order that was given.
pub(super) struct Order {
    tag: String,
    id: String,
    /// Tells of answers; `None` where changes cannot be watched.
    changes: Option<RecordStream>,
}

/// Who has followed an order.
pub(super) struct Followed {
    pub(super) confirmed: Vec<String>,
    pub(super) unconfirmed: Vec<String>,
}

impl Inner {
    /// Lets go of all keys of a tenant that are at hand here. Returns how many lines that were.
    pub(super) fn let_go(&self, tag: &str, erased: bool) -> usize {
        let Some(prefix) = self.settings.environment.tagged_prefix(tag) else { return 0 };
        let mut lines = self.data.drop_below(&prefix, &*self.clock) + self.names.drop_below(&prefix, &*self.clock);
        if let Some(vaults) = &self.vaults {
            let of_vault = |keyring: &super::Keyring| keyring.0.settings.environment.is_of_vault(tag);
            lines += vaults.own().filter(of_vault).map(|keyring| keyring.0.let_go(tag, erased)).sum::<usize>();
            if erased {
                // Its branch record is gone, too.
                let environment = &self.settings.environment;
                vaults.forget(|slot| environment.tenant_tag(Some(slot.tenant.as_str())) == tag);
            }
        }
        lines
    }

    /// Orders every node to let go of a tenant's keys; this one has.
    pub(super) async fn order(&self, tag: String, erased: bool) -> Result<Order> {
        let environment = &self.settings.environment;
        let mut id = [0; 8];
        self.random.fill(&mut id)?;
        let id = hex(&id);
        let order = OrderRef { tag: &tag, id: &id };
        let changes = self.records.watch(&environment.answers_prefix(order)).await.ok();
        let by = self.node.as_ref().map_or("", Node::name);
        let text = text(self.wall(), erased, by);
        self.records.put(&environment.order_key(order), text, Expected::Absent).await?;
        Ok(Order { tag, id, changes })
    }

    /// Waits for the answers to an order, and says who has given none.
    ///
    /// Errors: those of the record store when it is not even known who should.
    pub(super) async fn followed(&self, order: Order, wait: Duration) -> Result<Followed> {
        let Order { tag, id, mut changes } = order;
        let order = OrderRef { tag: &tag, id: &id };
        let deadline = self.clock.now().after(wait);
        // After the order: who puts its name down later reads what stands now.
        let asked = self.other_nodes().await?;
        loop {
            let answers = self.answers(order).await.unwrap_or_default();
            let (confirmed, unconfirmed): (Vec<_>, Vec<_>) =
                asked.iter().cloned().partition(|node| answers.contains(node));
            let now = self.clock.now();
            if unconfirmed.is_empty() || now >= deadline {
                // What is left lying is swept away later.
                self.clear_away(order, unconfirmed.is_empty()).await.ok();
                return Ok(Followed { confirmed, unconfirmed });
            }
            let look = self.clock.sleep_until(deadline.min(now.after(LOOK)));
            let Some(told) = &mut changes else {
                look.await;
                continue;
            };
            if let Either::Left((None, _)) = select(told.next(), look).await {
                changes = None;
            }
        }
    }

    /// The nodes that have followed an order.
    async fn answers(&self, order: OrderRef<'_>) -> Result<HashSet<String>> {
        let prefix = self.settings.environment.answers_prefix(order);
        let all = self.records.list(&prefix).await?.into_iter();
        Ok(all.filter_map(|(key, _)| last_segment(&prefix, &key).map(str::to_owned)).collect())
    }

    /// Removes the answers to an order, and the order itself if nobody has to follow it any more.
    async fn clear_away(&self, order: OrderRef<'_>, done: bool) -> Result<()> {
        let environment = &self.settings.environment;
        if done {
            self.records.remove(&environment.order_key(order), Expected::Any).await?;
        }
        for (key, _) in self.records.list(&environment.answers_prefix(order)).await? {
            self.records.remove(&key, Expected::Any).await?;
        }
        Ok(())
    }

    /// Follows an order, once.
    pub(super) async fn obey(&self, order: OrderRef<'_>, record: &Record) -> Result<()> {
        let Some(node) = self.node.as_ref().filter(|node| !node.followed.lock().contains(&record.sequence)) else {
            return Ok(());
        };
        // Who gave it followed it before.
        if given_by(&record.value) != Some(node.name().as_bytes()) {
            self.let_go(order.tag, is_erased(&record.value));
            let place = self.settings.environment.answer_key(order, node.name());
            self.records.put(&place, Bytes::new(), Expected::Any).await?;
        }
        node.followed.lock().insert(record.sequence);
        Ok(())
    }

    /// Follows the orders that it was not told of, and sweeps away what concerns nobody any more.
    pub(super) async fn follow_orders(&self) -> Result<()> {
        let environment = &self.settings.environment;
        let all = self.records.list(&environment.orders_prefix()).await?;
        let orders: Vec<_> =
            all.iter().filter_map(|(key, record)| Some((environment.order_of(key)?, key, record))).collect();
        if let Some(node) = &self.node {
            let stands = |sequence: &u64| orders.iter().any(|(_, _, record)| record.sequence == *sequence);
            node.followed.lock().retain(stands);
        }
        let mut outcome = Ok(());
        for (order, key, record) in &orders {
            // All are tried. One that cannot be read may be anything, and is followed.
            let stands = read_stamp(&record.value).is_none_or(|at| self.may_still_count(at));
            let done = match stands {
                true => self.obey(*order, record).await,
                false => self.records.remove(key, Expected::Any).await.map(drop),
            };
            outcome = outcome.and(done);
        }
        // Answers that came when nobody waited for them any more.
        let prefixes: Vec<_> = orders.iter().map(|(order, _, _)| environment.order_prefix(*order)).collect();
        for (key, _) in all.iter().filter(|(key, _)| !prefixes.iter().any(|prefix| prefix.covers(key))) {
            outcome = outcome.and(self.records.remove(key, Expected::Any).await.map(drop));
        }
        outcome
    }
}

fn text(at: u64, erased: bool, by: &str) -> Bytes {
    let mut out = stamp(at).to_vec();
    out.put_u8(erased.into());
    out.put_slice(by.as_bytes());
    out.into()
}

/// What cannot be read lets go of more rather than less.
fn is_erased(order: &[u8]) -> bool {
    order.get(9) != Some(&0)
}

fn given_by(order: &[u8]) -> Option<&[u8]> {
    order.get(10..)
}
