//! Whatever datagrams and lists of members come, a node stands, and keeps its bounds.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    memstache_cluster::membership::fuzzing::gossip(data);
});
