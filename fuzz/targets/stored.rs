//! The target `stored` for libFuzzer. What it checks is written in `src/stored.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::stored::run(bytes));
