//! The program's log: lines on standard error, as text or JSON.
//!
//! Whoever logs never waits: [`lines`] hands lines to a thread of their own and drops what does not fit, [`limit`]
//! lets a few lines per second pass from each place in the code, and [`escape`] keeps what clients sent from being
//! more than text. What is left out is counted, and said in the log itself.

mod escape;
mod limit;
mod lines;

use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::failure::Failure;
use crate::options::{LogFormat, ServeOptions};
pub(crate) use escape::json_line;
use limit::{LineLimit, Sites};
use lines::Lines;

/// A log that was started; [`Log::flush`] it at the end.
#[derive(Clone)]
pub(crate) struct Log {
    lines: Arc<Lines>,
    sites: Arc<Sites>,
}

/// Starts logging as the options say; called once, before anything is served.
///
/// # Errors
/// The filter is none, the log's thread cannot be started, or logging was started before.
pub(crate) fn start(options: &ServeOptions) -> Result<Log, Failure> {
    let filter = EnvFilter::try_new(&options.log).map_err(Failure::failed)?;
    let sites: Arc<Sites> = Arc::default();
    let lines =
        Lines::start(io::stderr(), options.log_format, Arc::clone(&sites)).map_err(Failure::failed)?;
    let lines = Arc::new(lines);
    let has_colours = io::stderr().is_terminal();
    let limit = LineLimit::new(Arc::clone(&sites));
    subscriber(filter, limit, options.log_format, has_colours, Arc::clone(&lines))
        .try_init()
        .map_err(Failure::failed)?;
    Ok(Log { lines, sites })
}

/// What makes lines of events.
fn subscriber<W>(
    filter: EnvFilter,
    limit: LineLimit,
    format: LogFormat,
    has_colours: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let registry = tracing_subscriber::registry();
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Text => {
            let lines = lines.with_ansi(has_colours).fmt_fields(escape::fields());
            Box::new(registry.with(lines).with(limit).with(filter))
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true);
            Box::new(registry.with(lines).with(limit).with(filter))
        }
    }
}

impl Log {
    /// Waits until what was logged is written, for at most a second: whoever reads it may have stopped.
    pub(crate) fn flush(&self) {
        self.lines.flush();
    }

    /// Lines that were dropped because standard error was too slow or failed, or because they were too long.
    pub(crate) fn dropped(&self) -> u64 {
        self.lines.dropped()
    }

    /// Lines that were left out because the same place in the code had logged enough in that second.
    pub(crate) fn left_out(&self) -> u64 {
        self.sites.left_out()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What was logged, in memory.
    #[derive(Default)]
    struct Page(Mutex<Vec<u8>>);

    impl io::Write for &Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `log` writes in a format.
    fn logged(format: LogFormat, has_colours: bool, log: impl FnOnce()) -> String {
        let page: Arc<Page> = Arc::default();
        let limit = LineLimit::new(Arc::default());
        let filter = EnvFilter::new("trace");
        let subscriber = subscriber(filter, limit, format, has_colours, Arc::clone(&page));
        tracing::subscriber::with_default(subscriber, log);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// A forged line, terminal escapes of seven and eight bits, and a character that hides what follows.
    const HOSTILE: &str = "x\r\n2030-01-01 ERROR forged \u{1b}[31mred\u{9b}2J\u{7f}\u{8}\u{202e}";

    fn log_hostile_text() {
        tracing::info!(
            text = HOSTILE,
            shown = %HOSTILE,
            debugged = ?HOSTILE,
            "{HOSTILE}"
        );
    }

    #[test]
    fn text_from_clients_stays_on_its_line_and_speaks_to_no_terminal() {
        for has_colours in [false, true] {
            let page = logged(LogFormat::Text, has_colours, log_hostile_text);
            let (line, rest) = page.split_once('\n').unwrap();
            assert_eq!(rest, "", "one event is one line");
            let own = if has_colours {
                line.matches("\u{1b}[").count()
            } else {
                0
            };
            assert_eq!(line.matches('\u{1b}').count(), own, "{line:?}");
            assert!(!line.contains("\u{1b}[31mred"), "{line:?}");
            let is_hidden = |char: char| char != '\u{1b}' && escape::is_hostile(char);
            assert!(!line.contains(is_hidden), "{line:?}");
            assert_eq!(line.matches("forged").count(), 4, "it can still be read: {line}");
        }
    }

    #[test]
    fn json_is_one_object_per_line_without_control_characters() {
        let page = logged(LogFormat::Json, false, log_hostile_text);
        let line = lines::harmless(LogFormat::Json, page.as_bytes());
        let line = String::from_utf8(line).unwrap();
        let (object, rest) = line.split_once('\n').unwrap();
        assert_eq!(rest, "");
        assert!(!object.contains(escape::is_hostile), "{object:?}");
        let object: serde_json::Value = serde_json::from_str(object).unwrap();
        assert_eq!(object["text"], HOSTILE, "nothing is lost");
        assert_eq!(object["shown"], HOSTILE);
    }

    #[test]
    fn one_place_logs_a_few_lines_per_second_and_others_are_not_affected() {
        let page = logged(LogFormat::Text, false, || {
            for number in 0..1_000 {
                tracing::info!(number, "flood");
            }
            tracing::info!("another");
        });
        let flood = page.matches("flood").count();
        // The second may turn once or twice while a slow machine logs.
        assert!((10..=40).contains(&flood), "{flood}");
        assert!(page.contains("another"));
    }
}
