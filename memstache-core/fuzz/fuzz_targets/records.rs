//! Any bytes are a file of a record store or an error.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    memstache_core::fuzzing::record_file(data);
});
