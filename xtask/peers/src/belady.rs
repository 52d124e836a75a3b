//! The most hits that any cache could have: it knows the future, and need not store what it misses.

use std::collections::BinaryHeap;

use crate::traces::Trace;

const NEVER: u32 = u32::MAX;

/// Hits of a clairvoyant cache of so many entries (L. A. Belady, 1966, with bypass).
pub(crate) fn hits(trace: &Trace, capacity: usize) -> usize {
    let next = next_uses(trace);
    // When each held key is used next; NEVER for those that are not held.
    let mut held = vec![NEVER; trace.distinct];
    let mut len = 0;
    let mut hits = 0;
    // What is used last comes first. Pairs that `held` does not confirm are left over from earlier.
    let mut order = BinaryHeap::new();
    for (key, next) in trace.requests.iter().zip(next) {
        let key = *key as usize;
        if held[key] != NEVER {
            hits += 1;
            len -= 1;
            held[key] = NEVER;
        }
        if next == NEVER || capacity == 0 {
            continue;
        }
        if len == capacity {
            let Some(victim) = last_used(&mut order, &held, next) else { continue };
            held[victim] = NEVER;
            len -= 1;
        }
        held[key] = next;
        len += 1;
        order.push((next, key));
    }
    hits
}

/// Takes out the held key that is used last, if later than `next`.
fn last_used(order: &mut BinaryHeap<(u32, usize)>, held: &[u32], next: u32) -> Option<usize> {
    while let Some((at, key)) = order.peek().copied() {
        if held[key] == at {
            return (at > next).then(|| {
                order.pop();
                key
            });
        }
        order.pop();
    }
    None
}

/// For each request, when its key comes next.
fn next_uses(trace: &Trace) -> Vec<u32> {
    let mut seen = vec![NEVER; trace.distinct];
    let mut next = vec![NEVER; trace.requests.len()];
    for (at, key) in trace.requests.iter().enumerate().rev() {
        next[at] = std::mem::replace(&mut seen[*key as usize], at as u32);
    }
    next
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The best of all choices, by trying them: what is held is a set of bits.
    fn brute_force(trace: &Trace, capacity: usize) -> usize {
        let mut best = BTreeMap::from([(0_u32, 0)]);
        for key in &trace.requests {
            let bit = 1 << key;
            let mut after: BTreeMap<u32, usize> = BTreeMap::new();
            let mut reach = |held: u32, hits: usize| {
                let most = after.entry(held).or_default();
                *most = hits.max(*most);
            };
            for (held, hits) in best {
                if held & bit != 0 {
                    reach(held, hits + 1);
                    continue;
                }
                reach(held, hits);
                if (held.count_ones() as usize) < capacity {
                    reach(held | bit, hits);
                } else {
                    (0..32).filter(|victim| held & (1 << victim) != 0).for_each(|victim| {
                        reach(held & !(1 << victim) | bit, hits);
                    });
                }
            }
            best = after;
        }
        best.into_values().max().unwrap_or(0)
    }

    #[test]
    fn nothing_does_better() {
        let mut rng = fastrand::Rng::with_seed(11);
        for round in 0..300 {
            let keys = rng.u32(1..9);
            let trace = Trace::of((0..rng.usize(1..60)).map(|_| rng.u32(..keys)));
            for capacity in 0..5 {
                assert_eq!(
                    hits(&trace, capacity),
                    brute_force(&trace, capacity),
                    "round {round}, {capacity}: {trace:?}"
                );
            }
        }
    }

    #[test]
    fn a_loop_is_held_in_part() {
        let trace = Trace::of((0..100).map(|at| at % 10));
        assert_eq!(hits(&trace, 10), 90);
        assert_eq!(hits(&trace, 5), brute_force(&trace, 5));
    }
}
