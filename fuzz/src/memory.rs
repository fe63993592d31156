//! A bound on what a check may allocate: the code under test must not be talked into more memory than its limits say.

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Does `work`; panics when it held more than `bytes_max` of new memory at any moment.
///
/// The whole process is measured, so one check at a time can run in it.
pub fn bounded(bytes_max: usize, work: impl FnOnce()) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    work();
    let held = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(held <= bytes_max, "{held} bytes were held, limit is {bytes_max}");
}
