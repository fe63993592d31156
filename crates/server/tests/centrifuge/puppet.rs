//! A program that uses a client library, told what to do line by line. One program of each library serves all stories.

use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::thread;
use std::time::Instant;

use fanfare_testing::DEADLINE;
use serde_json::Value;

use crate::sdk::Sdk;

/// A running program. It ends when its standard input does, with this process.
pub(crate) struct Puppet {
    commands: Mutex<ChildStdin>,
    asked: AtomicU64,
    said: Arc<Said>,
}

/// What it has said and nobody has taken up yet.
#[derive(Default)]
struct Said {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Default)]
struct Lines {
    answers: HashMap<u64, Value>,
    /// By the client, in order.
    events: HashMap<String, Vec<Value>>,
    is_over: bool,
}

impl Puppet {
    /// The one of a library.
    pub(crate) fn of(sdk: Sdk) -> &'static Self {
        static PUPPETS: [LazyLock<Puppet>; 3] = [
            LazyLock::new(|| Puppet::start(Sdk::JavaScript)),
            LazyLock::new(|| Puppet::start(Sdk::Python)),
            LazyLock::new(|| Puppet::start(Sdk::Go)),
        ];
        &PUPPETS[sdk as usize]
    }

    fn start(sdk: Sdk) -> Self {
        let mut command = sdk.puppet();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let said = Arc::<Said>::default();
        let heard = Arc::clone(&said);
        thread::spawn(move || heard.listen(child));
        Self {
            commands: Mutex::new(commands),
            asked: AtomicU64::new(0),
            said,
        }
    }

    /// Has a client do something; what comes of it.
    pub(crate) fn ask(&self, mut command: Value) -> Value {
        let id = self.asked.fetch_add(1, Ordering::Relaxed);
        command["ask"] = id.into();
        // Where the program has ended, its last words are on standard error, and nothing is answered.
        let _ = writeln!(self.commands.lock().unwrap(), "{command}");
        self.said
            .wait_for(|lines| lines.answers.remove(&id))
            .unwrap_or_else(|| panic!("{command} was not answered"))
    }

    /// The next event of a client that is looked for, which is taken out of those that were told. None in time.
    pub(crate) fn next_event(&self, client: &str, is_wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        self.said.wait_for(|lines| {
            let events = lines.events.get_mut(client)?;
            let place = events.iter().position(&is_wanted)?;
            Some(events.remove(place))
        })
    }

    /// What a client was told and nobody has taken up.
    pub(crate) fn left_of(&self, client: &str) -> Vec<Value> {
        let lines = self.said.lines.lock().unwrap();
        lines.events.get(client).cloned().unwrap_or_default()
    }
}

impl Said {
    fn listen(&self, mut puppet: Child) {
        let stdout = puppet.stdout.take().unwrap();
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let mut lines = self.lines.lock().unwrap();
            if let Some(id) = line["ask"].as_u64() {
                lines.answers.insert(id, line);
            } else {
                let client = line["client"].as_str().unwrap().to_owned();
                lines.events.entry(client).or_default().push(line);
            }
            drop(lines);
            self.more.notify_all();
        }
        self.lines.lock().unwrap().is_over = true;
        self.more.notify_all();
        let _ = puppet.wait();
    }

    /// Looks again with each line until something is found, or the time is over.
    fn wait_for<T>(&self, find: impl Fn(&mut Lines) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + DEADLINE;
        let mut lines = self.lines.lock().unwrap();
        loop {
            if let Some(found) = find(&mut lines) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.is_over {
                return None;
            }
            lines = self.more.wait_timeout(lines, left).unwrap().0;
        }
    }
}

impl fmt::Debug for Puppet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Puppet")
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}
