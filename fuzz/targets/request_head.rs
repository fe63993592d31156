//! The target `request_head` for libFuzzer. What it checks is written in `src/request_head.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::request_head::run(bytes));
