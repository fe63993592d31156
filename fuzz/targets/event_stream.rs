//! The target `event_stream` for libFuzzer. What it checks is written in `src/event_stream.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::event_stream::run(bytes));
