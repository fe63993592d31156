//! The target `hub_inputs` for libFuzzer. What it checks is written in `src/hub_inputs.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fanfare_fuzz::hub_inputs::run(bytes));
