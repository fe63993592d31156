//! The target `extensions` for libFuzzer. What it checks is written in `src/extensions.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::extensions::run(bytes));
