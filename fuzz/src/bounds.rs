//! What a check may cost: the code under test must be talked neither into more memory than its limits say nor into a
//! second of work.

use std::time::Duration;

use peak_alloc::PeakAlloc;
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The longest that one input may keep the processor busy. The clock on the wall would tell how busy the machine is.
const WORK_MAX: Duration = Duration::from_secs(1);

/// What compression may hold beside what passes through it: a compressor, a decompressor and their buffers.
pub(crate) const COMPRESSION_BYTES_MAX: usize = 640 << 10;

/// Does `work`; panics when it held more than `bytes_max` of new memory at any moment, or worked for over a second.
///
/// The memory of the whole process is measured, so one check at a time can run in it.
pub fn bounded(bytes_max: usize, work: impl FnOnce()) {
    let began = worked();
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    work();
    let held = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(held <= bytes_max, "{held} bytes were held, limit is {bytes_max}");
    let busy = worked().saturating_sub(began);
    assert!(busy <= WORK_MAX, "it worked for {busy:?}, limit is {WORK_MAX:?}");
}

/// How long this thread has worked.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
