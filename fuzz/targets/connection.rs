//! The target `connection` for libFuzzer. What it checks is written in `src/connection.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::connection::run(bytes));
