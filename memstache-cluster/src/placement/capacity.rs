//! How many partitions a member may take.

use super::{PARTITIONS, score::mix};

/// Fractional bits of shares.
const POINT: u32 = 32;

/// Up to this many members, none has more than 1.1 times its fair share. With more there are so few partitions for each
/// (16 at 1,000) that whole numbers get in the way: a member may take up to one more then.
const EXACT: u128 = 1000;

/// The most partitions for each of the members with these ids and weights.
///
/// A little less than 1.1 times the fair share: by a part of one partition that is drawn for each member. So members come to
/// their next whole number one by one as a cluster grows, instead of all at once, which would move partitions everywhere.
pub(super) fn capacities(nodes: &[(u64, u16)]) -> Vec<u32> {
    let count = nodes.len() as u128;
    let total: u128 = nodes.iter().map(|(_, weight)| u128::from(*weight)).sum();
    let more = (count.saturating_sub(EXACT) << POINT) / count.max(1);
    let most = |(id, weight): &(u64, u16)| {
        let fair = ((PARTITIONS as u128) << POINT) * u128::from(*weight) / total;
        let part = u128::from(mix(id ^ 0x726f_6f6d_0000_0003) >> POINT);
        ((fair * 11 / 10 + more).saturating_sub(part) >> POINT) as u32
    };
    nodes.iter().map(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_all_partitions_and_for_little_more() {
        for count in [1, 2, 3, 10, 100, 900, 1000, 1001, 1100, 2000, 10_000, 16_384, 65_535] {
            for weights in [&[100_u16][..], &[1, 2, 4], &[1000, 1]] {
                let nodes: Vec<_> = (0..count).map(|id| (id, weights[id as usize % weights.len()])).collect();
                let room: u64 = capacities(&nodes).into_iter().map(u64::from).sum();
                assert!(room * 100 >= PARTITIONS as u64 * 103, "{count} of {weights:?}: {room}");
            }
        }
    }

    #[test]
    fn nobody_gets_more_than_a_tenth_above_its_share() {
        for count in [1_u64, 10, 100, 1000] {
            let nodes: Vec<_> = (0..count).map(|id| (id, (id % 1000 + 1) as u16)).collect();
            let total: f64 = nodes.iter().map(|(_, weight)| f64::from(*weight)).sum();
            for (most, (_, weight)) in capacities(&nodes).into_iter().zip(&nodes) {
                let fair = PARTITIONS as f64 * f64::from(*weight) / total;
                assert!(f64::from(most) <= fair * 1.1, "{most} of {fair}");
            }
        }
    }
}
