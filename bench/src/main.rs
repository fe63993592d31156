//! Measurements of Fanfare, side by side with a bare write loop.

fn main() {}
