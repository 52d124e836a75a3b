//! Any bytes are an entry or an error.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    memstache_core::fuzzing::envelope(data);
});
