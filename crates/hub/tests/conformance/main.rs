//! The conformance suite itself: a broker that keeps the contract passes, at once or late, and every way of breaking
//! it is found.

mod model;

use std::panic::{AssertUnwindSafe, catch_unwind};

use fanfare_hub::conformance::{HISTORY_FRAMES, check, check_without_history};
use model::{Fault, Model};

#[test]
fn a_broker_that_keeps_the_contract_passes() {
    for is_late in [false, true] {
        check(|| Model::make(Fault::None, HISTORY_FRAMES, is_late));
        check_without_history(|| Model::make(Fault::None, 0, is_late));
    }
}

/// Whether the suite finds the fault, with history or without.
fn finds(fault: Fault) -> bool {
    let is_caught = |play: &dyn Fn()| catch_unwind(AssertUnwindSafe(play)).is_err();
    is_caught(&|| check(|| Model::make(fault, HISTORY_FRAMES, false)))
        || is_caught(&|| check_without_history(|| Model::make(fault, 0, false)))
        || is_caught(&|| check_without_history(|| Model::make(fault, 0, true)))
}

#[test]
fn every_fault_is_found() {
    for &fault in Fault::ALL {
        assert!(finds(fault), "{fault:?} is not found");
    }
}
