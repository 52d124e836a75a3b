//! Associated data can be taken apart in one way.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    memstache_crypto::fuzzing::associated_data(data);
});
