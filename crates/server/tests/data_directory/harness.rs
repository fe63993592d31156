//! What the tests have in common: directories of their own, logs in them, and the program.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fanfare::broker::stored;
use fanfare::{Payload, Timestamp, TopicName};
use fanfare_log::{Directory, Draft, Limits, Log, Options, Position, What};

/// 2026-01-01 00:00:00 UTC.
pub(crate) const NOON: u64 = 1_767_225_600_000;

/// A directory that is gone with its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A name for one, which nobody else has; it is not there.
    pub(crate) fn new(name: &str) -> Self {
        static FOLDERS: AtomicUsize = AtomicUsize::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("fanfare-data-{}-{number}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// The log in it, in segments of 4 KiB.
    pub(crate) fn log(&self) -> Log {
        let directory = Directory::open(&self.0).unwrap();
        let options = Options {
            limits: Limits {
                segment_bytes_max: 4_096,
                record_bytes_max: 64 << 20,
                ..Limits::default()
            },
            ..Options::default()
        };
        Log::open(Arc::new(directory), options).unwrap().0
    }

    /// A log with three topics in several segments and a value, closed in order.
    pub(crate) fn written(name: &str) -> Self {
        let folder = Self::new(name);
        let mut log = folder.log();
        for number in 1..=60 {
            for topic in ["a", "bb", "ccc"] {
                append(&mut log, publication(topic, &format!("{topic} {number}")));
            }
        }
        append(&mut log, draft("bb", What::Remove { before: 51 }));
        log.state().put("keys", b"value").unwrap();
        log.close().unwrap();
        folder
    }

    /// The names and contents of all files.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    /// The segments among them, in their order.
    pub(crate) fn segments(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = self.files();
        files.retain(|(name, _)| name.len() == FIRST_SEGMENT.len());
        files
    }

    pub(crate) fn last_segment(&self) -> String {
        self.segments().pop().unwrap().0
    }

    pub(crate) fn flip(&self, file: &str, at: usize) {
        let path = self.0.join(file);
        let mut content = fs::read(&path).unwrap();
        content[at] ^= 0x20;
        fs::write(path, content).unwrap();
    }

    /// Where a text stands in a segment.
    pub(crate) fn place_of(&self, file: &str, text: &str) -> usize {
        let content = fs::read(self.0.join(file)).unwrap();
        let mut windows = content.windows(text.len());
        windows.position(|window| window == text.as_bytes()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) const FIRST_SEGMENT: &str = "00000000000000000000.seg";

pub(crate) fn draft(topic: &str, what: What) -> Draft {
    Draft {
        topic: Arc::from(topic),
        time_ms: NOON,
        what,
    }
}

/// A record as the server would write it.
pub(crate) fn publication(topic: &str, text: &str) -> Draft {
    let name = TopicName::parse(topic).unwrap();
    let body = stored::encode(&fanfare::Draft::new(name, Payload::text(text), Timestamp(NOON)));
    Draft::publication(topic, NOON, body)
}

pub(crate) fn append(log: &mut Log, draft: Draft) -> Position {
    log.append(&[draft]).remove(0).unwrap()
}

/// Runs `fanfare log`.
pub(crate) fn log(arguments: &[&str]) -> Output {
    log_with(arguments, "")
}

/// Runs `fanfare log` with this on its standard input.
pub(crate) fn log_with(arguments: &[&str], input: &str) -> Output {
    let mut child = begin(arguments);
    // Who refuses the beginning does not wait for the rest.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Starts `fanfare log`, which waits for its input.
pub(crate) fn begin(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_fanfare"))
        .arg("log")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs `fanfare log`, which has nothing to complain of; what it prints.
pub(crate) fn printed(arguments: &[&str]) -> String {
    let output = log(arguments);
    assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

/// An export of the directory, which is whole.
pub(crate) fn exported(folder: &Folder) -> String {
    printed(&["export", folder.name()])
}
