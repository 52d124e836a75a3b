//! From where on a value is better worked on off the async threads.

use bytes::Bytes;
use memstache_codec::Compress;
use memstache_core::{Lifetime, NewEntry, Request, Set, Step, Transform};
use tokio::runtime::Builder;

use crate::{
    common::{address, text},
    rows::{Row, interleave},
};

pub(crate) fn run(rounds: usize) {
    println!("\n## Off the async threads\n");
    println!("| JSON | algorithm | here µs | elsewhere µs |\n| --- | --- | ---: | ---: |");
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for algorithm in ["lz4", "zstd:1", "zstd:3"] {
        for kib in [4, 16, 64, 256] {
            let value = Bytes::from(text(kib << 10));
            let layer = |above| Compress::builder().algorithm(algorithm).offload_above(above).build().unwrap();
            let (here, elsewhere) = (layer(usize::MAX), layer(0));
            let mut rows = [
                Row::new(|_| runtime.block_on(write(&here, &value))),
                Row::new(|_| runtime.block_on(write(&elsewhere, &value))),
            ];
            interleave(rounds, &mut rows);
            let micros = |row: &Row<'_>| row.median() / 1e3;
            println!("| {kib} KiB | {algorithm} | {:.0} | {:.0} |", micros(&rows[0]), micros(&rows[1]));
        }
    }
}

async fn write(layer: &Compress, value: &Bytes) -> Request {
    let set = Set::one(address(None), NewEntry::new(value.clone(), Lifetime::UNLIMITED));
    match layer.request(Request::Set(set)) {
        Step::Now(result) => result.unwrap().0,
        Step::Wait(wait) => wait.await.unwrap().0,
        other => panic!("answered: {other:?}"),
    }
}
