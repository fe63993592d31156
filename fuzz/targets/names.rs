//! The target `names` for libFuzzer. What it checks is written in `src/names.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::names::run(bytes));
