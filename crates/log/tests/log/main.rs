//! The log from outside: what it promises, on disks that fail in every way there is.

mod crashes;
mod damage;
mod disk;
mod harness;
mod keeping;
mod model;
mod threads;
mod writing;
