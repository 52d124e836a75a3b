//! Any bytes are a value or an error.
#![no_main]

#[path = "../run.rs"]
#[allow(dead_code)]
mod run;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    run::format("postcard", data);
});
