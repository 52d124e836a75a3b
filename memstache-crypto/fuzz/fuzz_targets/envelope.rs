//! Any bytes are an envelope or not, and nothing that was not sealed opens.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    memstache_crypto::fuzzing::envelope(data);
});
