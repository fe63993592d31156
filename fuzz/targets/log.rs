//! The target `log` for libFuzzer. What it checks is written in `src/log.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::log::run(bytes));
