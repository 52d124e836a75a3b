//! Writes as they are sent.

use bytes::{BufMut, Bytes, BytesMut};
use memstache_core::{Address, Result, Tick};

use super::super::{
    ask::{Answer, Manner, Round},
    clocks::{Fence, Fences, Floor},
    plan::Plan,
    shared::Shared,
};
use crate::{layout::ROOM, script::millis};

/// Longest value, tags and envelope, that is cheaper to be put together with its head by the script.
const WHOLE: usize = 512;

/// One write.
#[derive(Clone, Debug)]
pub(in crate::store) struct Order {
    pub(in crate::store) address: Address,
    /// Condition and lifetime, as the script reads them.
    pub(in crate::store) terms: Bytes,
    /// What is stored, with room for its head.
    pub(in crate::store) payload: Bytes,
    /// When its caller gives it up.
    pub(in crate::store) deadline: Tick,
    /// What its fence must reach at least, for a writer that knows it is not late.
    pub(in crate::store) floor: Floor,
}

/// What came back for one write.
pub(in crate::store) struct Outcome {
    pub(in crate::store) answer: Answer,
    /// Its space among those of the line.
    pub(in crate::store) space: usize,
}

impl Order {
    /// Returns the fence that it is sent with.
    pub(in crate::store) fn fence(&self, fences: Fences) -> Fence {
        fences.until(self.deadline).reach(self.floor)
    }

    /// Bytes that a command has of it.
    pub(super) fn len(&self) -> usize {
        self.payload.len() + 2 * self.address.stored().len()
    }
}

impl Shared {
    /// Sends writes; those that lie together as one command.
    pub(in crate::store) async fn order(&self, orders: &[Order]) -> Vec<Result<Outcome>> {
        let cluster = self.client.topology().cluster;
        let plan = Plan::new(&self.keys, cluster, orders.iter().map(|order| &order.address));
        let round = self.order_fenced(&plan, orders, Order::fence).await;
        let spaces = plan.places.iter().map(|place| place.space);
        round.items.into_iter().zip(spaces).map(|(answer, space)| Ok(Outcome { answer: answer?, space })).collect()
    }

    /// Sends the writes of a plan, with these fences.
    pub(in crate::store) async fn order_fenced(
        &self,
        plan: &Plan,
        orders: &[Order],
        fence: impl Fn(&Order, Fences) -> Fence,
    ) -> Round {
        let whole = orders.iter().all(|order| order.payload.len() <= ROOM + WHOLE);
        // Each has a fence of its own, and waits by itself.
        let deadline = orders.iter().map(|order| order.deadline).max().unwrap_or_default();
        self.ask(
            plan,
            &self.scripts.set,
            Manner { deadline, writes: true },
            |_| Floor::default(),
            |args, _, sequence| {
                args.word(if whole { "w" } else { "p" }).number(sequence.0);
                args.number(millis(self.settings.line_life())).number(self.keys.prefix_len() as u64);
            },
            |args, item, fences| {
                let order = &orders[item];
                args.bytes(packed(fence(order, fences))).bytes(order.terms.clone());
                args.bytes(if whole { order.payload.slice(ROOM..) } else { order.payload.clone() });
            },
        )
        .await
    }
}

fn packed(fence: Fence) -> Bytes {
    let mut packed = BytesMut::with_capacity(16);
    packed.put_u64(fence.not_after);
    packed.put_u64(fence.stamp);
    packed.freeze()
}
