//! How a command ends that does not succeed, and how the terminal is told.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// Why a command did not succeed, in words for the person who called it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was called wrongly; each problem names the value, the rule and the way out.
    Usage(Vec<String>),
    /// It was called rightly and something else went wrong.
    Failed(String),
    /// It was done, but for something that matters and was told of.
    Incomplete(String),
}

impl Failure {
    /// A failure that is not the caller's fault.
    pub(crate) fn failed(problem: impl Display) -> Self {
        Self::Failed(problem.to_string())
    }

    /// Writes the problems to standard error; the exit code to end with.
    pub(crate) fn report(&self) -> ExitCode {
        let (kind, problems, code) = match self {
            Self::Usage(problems) => ("error", problems.as_slice(), 2),
            Self::Failed(problem) => ("error", std::slice::from_ref(problem), 1),
            Self::Incomplete(problem) => ("warning", std::slice::from_ref(problem), 3),
        };
        let lines: Vec<_> = problems
            .iter()
            .map(|problem| format!("{kind}: {problem}"))
            .collect();
        note_for_a_while(lines.join("\n"));
        ExitCode::from(code)
    }
}

/// Writes one line for the person at the terminal to standard error; who closed it does not want to know.
pub(crate) fn tell(kind: &str, line: &str) {
    note(&format!("{kind}: {line}"));
}

/// Writes to standard error at the end of the program, and ends it whether anybody takes that or not.
fn note_for_a_while(text: String) {
    let (done, is_done) = sync_channel(1);
    let writing = std::thread::Builder::new().spawn(move || {
        note(&text);
        // Whoever waits may have given up.
        let _ = done.send(());
    });
    if writing.is_ok() {
        let _ = is_done.recv_timeout(TELL_TIMEOUT);
    }
}

/// The longest that the end of the program waits for standard error.
const TELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Writes one line to standard error as it is.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes a command's result to standard output. A reader that has gone is no failure.
///
/// # Errors
/// The output cannot be written for another reason, such as a full disk.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Failed(format!(
            "standard output cannot be written: {error}"
        ))),
        _ => Ok(()),
    }
}
