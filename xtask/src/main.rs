//! Chores: the definition of done, the structure check, generated documents.

fn main() {}
