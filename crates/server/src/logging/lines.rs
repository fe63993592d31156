//! From whoever logs to standard error, over a bounded queue: a terminal, pipe or disk that takes nothing holds up
//! only the thread that writes to it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

use super::escape;
use super::limit::Sites;
use crate::options::LogFormat;

/// Lines that may wait to be written. Beyond: dropped and counted.
const LINES_MAX: usize = 1024;

/// The longest line in bytes. Beyond: dropped and counted. With [`LINES_MAX`] it bounds what waits to 8 MiB.
const LINE_BYTES_MAX: usize = 8 << 10;

/// The longest wait for the log at the end of the program.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Time between two looks at what was left out.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Where lines are handed in.
pub(super) struct Lines {
    queue: SyncSender<Entry>,
    format: LogFormat,
    dropped: Arc<AtomicU64>,
}

enum Entry {
    Line(Vec<u8>),
    /// Answer when everything before is written.
    Flush(SyncSender<()>),
}

impl Lines {
    /// Starts the thread that writes to `output`, and tells what `sites` left out.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(
        output: impl Write + Send + 'static,
        format: LogFormat,
        sites: Arc<Sites>,
    ) -> io::Result<Self> {
        let (queue, entries) = sync_channel(LINES_MAX);
        let dropped: Arc<AtomicU64> = Arc::default();
        let reports = Reports {
            dropped: Arc::clone(&dropped),
            dropped_told: 0,
            sites,
            due_at: Instant::now() + REPORT_INTERVAL,
        };
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(&entries, output, reports))?;
        Ok(Self {
            queue,
            format,
            dropped,
        })
    }

    /// Waits until what was handed in is written, for at most [`FLUSH_TIMEOUT`].
    pub(super) fn flush(&self) {
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        let (done, is_done) = sync_channel(1);
        let mut entry = Entry::Flush(done);
        while let Err(TrySendError::Full(unsent)) = self.queue.try_send(entry) {
            if Instant::now() >= deadline {
                return;
            }
            thread::sleep(Duration::from_millis(5));
            entry = unsent;
        }
        // Whether it was done in time or not, it is over.
        let _ = is_done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }

    /// Lines that were dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// A line as it is written, with nothing hostile in it.
pub(super) fn harmless(format: LogFormat, line: &[u8]) -> Vec<u8> {
    match format {
        // Escaped already, field by field: the rest may be colours.
        LogFormat::Text => line.to_vec(),
        LogFormat::Json => escape::json_line(&String::from_utf8_lossy(line)).into_bytes(),
    }
}

impl Write for &Lines {
    /// Takes a whole line, as the subscriber writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let is_kept = line.len() <= LINE_BYTES_MAX
            && self
                .queue
                .try_send(Entry::Line(harmless(self.format, line)))
                .is_ok();
        if !is_kept {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

/// The thread: writes line by line, and says once a second what is missing.
fn write(entries: &Receiver<Entry>, mut output: impl Write, mut reports: Reports) {
    loop {
        match entries.recv_timeout(reports.due_at.saturating_duration_since(Instant::now())) {
            Ok(Entry::Line(line)) => {
                if output.write_all(&line).is_err() {
                    reports.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(Entry::Flush(done)) => {
                reports.tell();
                let _ = output.flush();
                let _ = done.send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if Instant::now() >= reports.due_at {
            reports.tell();
        }
    }
}

/// What the log has to say of itself.
struct Reports {
    dropped: Arc<AtomicU64>,
    dropped_told: u64,
    sites: Arc<Sites>,
    due_at: Instant,
}

impl Reports {
    fn tell(&mut self) {
        self.due_at = Instant::now() + REPORT_INTERVAL;
        let dropped = self.dropped.load(Ordering::Relaxed);
        let lines = dropped - std::mem::replace(&mut self.dropped_told, dropped);
        if lines > 0 {
            tracing::warn!(
                lines,
                "lines of the log were dropped, standard error is too slow or cannot be written"
            );
        }
        if let Some(left_out) = self.sites.take_left_out() {
            let (lines, most) = (left_out.lines, left_out.most);
            tracing::warn!(
                lines,
                most,
                "lines of the log were left out, the same places logged too often"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Takes nothing until it is unlocked.
    struct Stuck(Arc<Mutex<Vec<u8>>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_output_that_takes_nothing_holds_nobody_up() {
        let page: Arc<Mutex<Vec<u8>>> = Arc::default();
        let stuck = page.lock().unwrap();
        let lines = Lines::start(Stuck(Arc::clone(&page)), LogFormat::Text, Arc::default()).unwrap();
        for _ in 0..LINES_MAX * 2 {
            (&lines).write_all(b"line\n").unwrap();
        }
        let dropped = lines.dropped();
        // The thread may hold one that it has taken out of the queue.
        assert!(
            (LINES_MAX - 1..=LINES_MAX).contains(&(dropped as usize)),
            "{dropped}"
        );
        lines.flush();
        drop(stuck);
        let deadline = Instant::now() + Duration::from_secs(20);
        while page.lock().unwrap().len() < (LINES_MAX * 2 - dropped as usize) * 5 {
            assert!(Instant::now() < deadline, "what was kept is written");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_was_logged_before_a_flush_is_written_after_it() {
        let page: Arc<Mutex<Vec<u8>>> = Arc::default();
        let lines = Lines::start(Stuck(Arc::clone(&page)), LogFormat::Text, Arc::default()).unwrap();
        for _ in 0..100 {
            (&lines).write_all(b"line\n").unwrap();
        }
        lines.flush();
        assert_eq!(page.lock().unwrap().len(), 500);
    }

    #[test]
    fn a_line_that_is_too_long_is_dropped() {
        let page: Arc<Mutex<Vec<u8>>> = Arc::default();
        let lines = Lines::start(Stuck(Arc::clone(&page)), LogFormat::Text, Arc::default()).unwrap();
        (&lines).write_all(&[b'x'; LINE_BYTES_MAX]).unwrap();
        (&lines).write_all(&[b'x'; LINE_BYTES_MAX + 1]).unwrap();
        lines.flush();
        assert_eq!((page.lock().unwrap().len(), lines.dropped()), (LINE_BYTES_MAX, 1));
    }
}
