//! Any text under the right key is a value or an error.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    memstache_crypto::fuzzing::inner_header(data);
});
