//! Any bytes are a key record or not, and one record has one text.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    memstache_crypto::fuzzing::key_record(data);
});
