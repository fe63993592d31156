//! The target `reassembly` for libFuzzer. What it checks is written in `src/reassembly.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::reassembly::run(bytes));
