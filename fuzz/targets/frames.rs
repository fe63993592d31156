//! The target `frames` for libFuzzer. What it checks is written in `src/frames.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::frames::run(bytes));
