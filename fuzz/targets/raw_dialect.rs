//! The target `raw_dialect` for libFuzzer. What it checks is written in `src/raw_dialect.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::raw_dialect::run(bytes));
