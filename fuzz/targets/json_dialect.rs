//! The target `json_dialect` for libFuzzer. What it checks is written in `src/json_dialect.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::json_dialect::run(bytes));
