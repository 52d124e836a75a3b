//! Any bytes are a value or an error.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    memstache_cluster::fuzzing::frame(data);
});
