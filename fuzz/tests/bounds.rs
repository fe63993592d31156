//! The bound on memory notices what it is there for.

use fanfare_fuzz::memory::bounded;

/// One test, because what is allocated is measured for the whole process.
#[test]
fn what_holds_too_much_fails_and_what_was_freed_does_not_count() {
    bounded(100_000, || {
        for _ in 0..10 {
            drop(vec![1_u8; 50_000]);
        }
    });
    let hoard = || bounded(100_000, || drop([vec![1_u8; 60_000], vec![1_u8; 60_000]]));
    assert!(std::panic::catch_unwind(hoard).is_err());
}
