//! What a table and a lookup cost.
//!
//! `cargo bench -p memstache-cluster --bench placement`; `-- --quick` for a smoke run. Ratios count, times are for
//! orientation: a lookup beside the bare hash of the same keys, a table beside as many bare products.

#![allow(clippy::print_stdout, missing_docs, reason = "a bench prints its tables")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the time")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use memstache_cluster::{NodeId, PARTITIONS, Partition, Table, Weight};
use xxhash_rust::xxh3::xxh3_64;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let rounds = if quick { 3 } else { 15 };
    tables(rounds, quick);
    lookups(rounds, quick);
}

fn list(count: u64, weights: &[u16]) -> Vec<(NodeId, Weight)> {
    let weight = |n: u64| Weight::new(weights[n as usize % weights.len()]).unwrap();
    (0..count).map(|n| (NodeId(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), weight(n))).collect()
}

fn tables(rounds: usize, quick: bool) {
    println!("## A table\n\n| members | weights | ms | products ms | x |\n| ---: | --- | ---: | ---: | ---: |");
    let every: Vec<_> = (1..=1000).collect();
    for (count, name, weights) in [
        (10, "equal", &[100][..]),
        (100, "equal", &[100]),
        (1000, "equal", &[100]),
        (1000, "1, 2, 4", &[1, 2, 4]),
        (1000, "each its own", &every),
    ] {
        let list = list(count, weights);
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(timed(|| Table::build(black_box(&list)).unwrap().epoch()));
            bare.push(timed(|| products(black_box(&list))));
        }
        let (ours, bare) = (median(ours), median(bare));
        let ratio = ours.as_secs_f64() / bare.as_secs_f64();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!("| {count} | {name} | {:.2} | {:.2} | {ratio:.2} |", ms(ours), ms(bare));
        assert!(quick || count < 1000 || ratio < 8.0, "a table costs {ratio:.2} times its bare products");
    }
}

/// One product for each pair of member and partition, and the greatest of them.
fn products(list: &[(NodeId, Weight)]) -> u64 {
    let mut sum = 0_u64;
    for partition in 0..PARTITIONS as u64 {
        let seed = partition.wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1;
        let greatest = list.iter().map(|(id, _)| u128::from(id.0) * u128::from(seed)).max().unwrap_or(0);
        sum = sum.wrapping_add((greatest >> 64) as u64);
    }
    sum
}

fn lookups(rounds: usize, quick: bool) {
    println!("\n## A lookup\n\n| members | ns | bare hash ns | x |\n| ---: | ---: | ---: | ---: |");
    let keys: Vec<_> = (0..1024).map(|n| format!("tenant-7:products:{n:08}")).collect();
    let times = if quick { 100 } else { 2000 };
    for count in [1, 10, 1000, 10_000] {
        let table = Table::build(&list(count, &[100])).unwrap();
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        let all = || std::iter::repeat_n(&keys, times).flatten().map(String::as_bytes);
        for _ in 0..rounds {
            ours.push(timed(|| all().fold(0, |sum, key| sum ^ table.owner_of(black_box(key)).unwrap().0)));
            bare.push(timed(|| all().fold(0, |sum, key| sum ^ xxh3_64(black_box(key)))));
        }
        let (ours, bare) = (median(ours), median(bare));
        let ratio = ours.as_secs_f64() / bare.as_secs_f64();
        let ns = |time: Duration| time.as_secs_f64() * 1e9 / (times * keys.len()) as f64;
        println!("| {count} | {:.1} | {:.1} | {ratio:.2} |", ns(ours), ns(bare));
        assert!(quick || ratio < 4.0, "a lookup costs {ratio:.2} times its bare hash");
    }
    let table = Table::build(&list(1000, &[100])).unwrap();
    let all = || Partition::all().map(|partition| table.ranked(partition, 2)[1].0).fold(0, |a, b| a ^ b);
    let time = timed(all).as_secs_f64() * 1e9 / PARTITIONS as f64;
    println!("\nThe two best of 1,000 members: {time:.0} ns");
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    black_box(work());
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
