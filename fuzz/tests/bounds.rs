//! The bounds on memory and work notice what they are there for.

use std::panic::catch_unwind;

use fanfare_fuzz::bounds::bounded;
use rustix::time::{ClockId, clock_gettime};

/// Seconds that this thread has worked.
fn worked() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// One test, because what is allocated is measured for the whole process.
#[test]
fn what_holds_or_works_too_much_fails_and_what_was_freed_does_not_count() {
    bounded(100_000, || {
        for _ in 0..10 {
            drop(vec![1_u8; 50_000]);
        }
    });
    let hoard = || bounded(100_000, || drop([vec![1_u8; 60_000], vec![1_u8; 60_000]]));
    assert!(catch_unwind(hoard).is_err());
    let toil = || {
        bounded(100_000, || {
            let end = worked() + 1.1;
            while worked() < end {}
        });
    };
    assert!(catch_unwind(toil).is_err());
}
