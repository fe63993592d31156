//! The target `proxy_header` for libFuzzer. What it checks is written in `src/proxy_header.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::proxy_header::run(bytes));
