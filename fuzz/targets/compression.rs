//! The target `compression` for libFuzzer. What it checks is written in `src/compression.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::compression::run(bytes));
