//! Panics on demand: with the feature `fault-injection`, which no default build has, bytes of a client that contain
//! `fault:PLACE` make that place panic. Without it there is nothing here.

use super::panics::PanicPlace;

#[cfg(feature = "fault-injection")]
pub(super) fn trip(place: PanicPlace, bytes: &[u8]) {
    let word = format!("fault:{}", place.name());
    let mut windows = bytes.windows(word.len());
    assert!(
        windows.all(|window| window != word.as_bytes()),
        "a fault was injected"
    );
}

#[cfg(not(feature = "fault-injection"))]
pub(super) fn trip(_place: PanicPlace, _bytes: &[u8]) {}
