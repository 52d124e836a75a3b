//! Any bytes are a dictionary that works or an error.
#![no_main]

#[path = "../run.rs"]
#[allow(dead_code)]
mod run;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    run::dictionary(data);
});
