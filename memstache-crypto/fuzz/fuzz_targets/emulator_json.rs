//! Any body is answered with success or an error of the caller, and leaves a vault that can be kept.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    memstache_crypto::fuzzing::emulator_json(data);
});
