//! The Fanfare server: one binary for real-time messaging.

fn main() {}
