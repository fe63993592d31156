//! What a mailbox synchronises with. The model checker's test compiles the mailbox with its own in place of these.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

pub(crate) use mio::Waker;
