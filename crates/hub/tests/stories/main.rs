//! The hub's behaviour as stories that clients could tell. Every story has one hub, on virtual time; what a client
//! hears is decoded from the bytes its socket took and given in the words of `words.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the driver is part of the tests: what it cannot do fails the story"
)]

mod access;
mod asides;
mod catching_up;
mod closing;
mod driver;
mod entering;
mod fan_out;
mod hailing;
mod history;
mod leaves;
mod occupancy;
mod pacing;
mod presence;
mod properties;
mod publishing;
mod rates;
mod renewing;
mod slow_readers;
mod slow_rules;
mod streams;
mod subscribing;
mod timers;
mod unasked;
mod vanished;
mod words;
