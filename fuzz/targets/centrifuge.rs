//! The target `centrifuge` for libFuzzer. What it checks is written in `src/centrifuge.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::centrifuge::run(bytes));
