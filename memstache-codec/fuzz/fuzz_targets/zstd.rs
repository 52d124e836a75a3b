//! Any bytes are a value of the declared length or an error.
#![no_main]

#[path = "../run.rs"]
#[allow(dead_code)]
mod run;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    run::compressor(memstache_core::Encoding::ZSTD, data);
});
