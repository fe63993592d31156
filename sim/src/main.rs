//! The seeded simulator of the Fanfare hub on virtual time.

fn main() {}
