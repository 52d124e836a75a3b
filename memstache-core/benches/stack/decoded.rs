//! Near hits whose value is kept decoded.

use std::{hint::black_box, sync::Arc};

use memstache_core::{Cache, Json, MemoryStore, NearConfig, Stack};

use crate::{row::Row, support::now};

pub(crate) fn rows() -> Vec<Row> {
    let (near, decoded) = many();
    vec![decoded_one(), near, decoded]
}

/// A handle on pages of a kibibyte in a near tier that has room for all of them, decoded.
fn pages(names: &[String]) -> (Cache<Json>, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let room = (16 << 20) + names.len() * 4096;
    let cache = runtime.block_on(async {
        let store = MemoryStore::builder().max_bytes(room).build().expect("good settings");
        let near = NearConfig::new(room).expect("large enough");
        let cache = Cache::builder(Stack::over(store).near(near).build()).keyspace("k").format(Json).build();
        let cache = cache.expect("good settings");
        for name in names {
            cache.set(name, &name.repeat(1024 / name.len())).await.expect("stored");
        }
        for name in names.iter().chain(names) {
            cache.get_arc::<String>(name).await.expect("found");
        }
        cache
    });
    (cache, runtime)
}

fn decoded_one() -> Row {
    let names = ["user:7".to_owned()];
    let (cache, runtime) = pages(&names);
    Row::new("decoded near hit, get_arc, 1 KiB", 0, move || {
        let _runtime = &runtime;
        black_box(now(cache.get_arc::<String>("user:7"))).expect("found").expect("kept");
    })
}

/// Hits on 100,000 keys, some far more popular than others: as bytes, and decoded.
fn many() -> (Row, Row) {
    let names: Vec<String> = (0..100_000).map(|n| format!("user:{n:08}")).collect();
    let (cache, runtime) = pages(&names);
    let (names, order) = (Arc::new(names), zipf(100_000, 1 << 20));
    let (other, also, again) = (cache.clone(), Arc::clone(&names), order.clone());
    let (mut order, mut again) = (order.into_iter().cycle(), again.into_iter().cycle());
    // Bytes cannot be decoded into a page without an allocation: its text.
    let near = Row::new("near hit, 100,000 keys, get::<String>, 1 KiB", 1, move || {
        let _runtime = &runtime;
        let name = &names[order.next().expect("endless")];
        black_box(now(cache.get::<String>(name))).expect("found").expect("held");
    });
    let decoded = Row::new("decoded near hit, 100,000 keys, get_arc, 1 KiB", 0, move || {
        let name = &also[again.next().expect("endless")];
        black_box(now(other.get_arc::<String>(name))).expect("found").expect("kept");
    });
    (near, decoded)
}

/// So many draws among `keys`, the popular ones spread at random: Zipf with exponent 0.99.
fn zipf(keys: usize, draws: usize) -> Vec<usize> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut sum = 0.0;
    let mut add = |rank: usize| {
        sum += (rank as f64).powf(-0.99);
        sum
    };
    let sums: Vec<f64> = (1..=keys).map(&mut add).collect();
    let mut places: Vec<usize> = (0..keys).collect();
    random.shuffle(&mut places);
    let mut draw = || {
        let at = random.f64() * sum;
        places[sums.partition_point(|below| *below < at).min(keys - 1)]
    };
    (0..draws).map(|_| draw()).collect()
}
