//! `attacker`: the other side of `attack`, a process of its own so that its cost is not taken for the generator's.
//!
//! Each connection has a thread. When the server ends one it comes back at once, and what the server answered is
//! counted. It goes on until standard input ends and then prints its findings as one line of JSON.

use crate::attack_kind::{Door, Kind, Pace, Script};
use crate::client::{Connection, Target};
use crate::server::LOWEST_PRIORITY;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Options of `attacker`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What it does
    #[arg(value_enum)]
    kind: Kind,
    /// The server it does it to
    #[arg(long)]
    address: SocketAddr,
    /// Connections at the same time
    #[arg(long)]
    connections: usize,
    /// Largest message the server takes
    #[arg(long)]
    message_bytes_max: usize,
    /// Core it runs on, at the lowest priority
    #[arg(long)]
    core: usize,
}

/// What an attacker did, and what it got for it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Findings {
    /// Connections, those that were refused included.
    pub(crate) connections: u64,
    pub(crate) sent_bytes: u64,
    /// How often the server answered what: `1009 message too big`, `HTTP 431`, `reset`, `error rate_limited`.
    pub(crate) answers: BTreeMap<String, u64>,
}

impl Findings {
    fn count(&mut self, answer: String) {
        *self.answers.entry(answer).or_default() += 1;
    }

    fn merge(&mut self, other: Self) {
        self.connections += other.connections;
        self.sent_bytes += other.sent_bytes;
        for (answer, count) in other.answers {
            *self.answers.entry(answer).or_default() += count;
        }
    }

    /// The answers as one cell, the most frequent first.
    pub(crate) fn answers_cell(&self) -> String {
        let mut answers: Vec<_> = self.answers.iter().collect();
        answers.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let cells: Vec<String> = answers
            .iter()
            .map(|(answer, count)| format!("{answer} ×{count}"))
            .collect();
        cells.join(", ")
    }
}

/// Attacks until standard input ends.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    crate::server::pin(options.core)?;
    rustix::process::nice(LOWEST_PRIORITY)?;
    let is_over = AtomicBool::new(false);
    let findings = std::thread::scope(|scope| {
        let attacker = || Attack {
            options,
            is_over: &is_over,
            findings: Findings::default(),
        };
        let threads: Vec<_> = (0..options.connections)
            .map(|_| attacker())
            .map(|attack| scope.spawn(move || attack.run()))
            .collect();
        // Nothing comes: what counts is the end.
        let ended = io::stdin().read_to_end(&mut Vec::new());
        is_over.store(true, Ordering::Relaxed);
        let mut findings = Findings::default();
        for thread in threads {
            let found = thread
                .join()
                .map_err(|_| io::Error::other("a thread of the attacker panicked"))?;
            findings.merge(found);
        }
        ended.map(|_| findings)
    })?;
    println!("{}", serde_json::to_string(&findings)?);
    Ok(())
}

/// One connection after the other, all alike.
struct Attack<'a> {
    options: &'a Options,
    is_over: &'a AtomicBool,
    findings: Findings,
}

impl Attack<'_> {
    fn run(mut self) -> Findings {
        while !self.is_over() {
            let script = self.options.kind.script(self.options.message_bytes_max);
            let answer = match script.door {
                Door::Request => self.attack_door(&script),
                Door::Upgraded { query, extension } => self.attack_inside(&script, query, extension),
            };
            self.findings.connections += 1;
            if let Some(answer) = answer.unwrap_or_else(|error| Some(name_of(&error))) {
                self.findings.count(answer);
                std::thread::sleep(RETURN_PAUSE);
            }
        }
        self.findings
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Sends a request that does not end. Gives back the server's answer, none when there was nothing to wait for.
    fn attack_door(&mut self, script: &Script) -> io::Result<Option<String>> {
        let mut stream = TcpStream::connect(self.options.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(TICK))?;
        stream.write_all(&script.first)?;
        let mut answer = [0; 1024];
        for number in 0.. {
            if self.is_over() {
                return Ok(Some(STILL_OPEN.to_owned()));
            }
            let sent = self.send_piece(&mut stream, &script.pace, number);
            match stream.read(&mut answer) {
                Ok(0) => return Ok(Some("closed".to_owned())),
                Ok(count) => return Ok(Some(status_of(&answer[..count]))),
                Err(error) if is_tick(&error) => sent?,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn send_piece(&mut self, stream: &mut TcpStream, pace: &Pace, number: u64) -> io::Result<()> {
        let piece = match pace {
            Pace::Flood(make) => make(number),
            Pace::Drip(bytes, pause) => {
                std::thread::sleep(*pause);
                vec![bytes[number as usize % bytes.len()]]
            }
            Pace::Wait | Pace::Leave => Vec::new(),
        };
        match stream.write(&piece) {
            Ok(count) => self.findings.sent_bytes += count as u64,
            Err(error) if is_tick(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Upgrades and then does what the script says.
    fn attack_inside(
        &mut self,
        script: &Script,
        query: &str,
        extension: Option<&'static str>,
    ) -> io::Result<Option<String>> {
        let target = Target {
            extension,
            receive_buffer_bytes: (!script.is_read).then_some(UNREAD_BUFFER_BYTES),
            ..Target::plain(self.options.address)
        };
        let mut connection = target.connect_one(query.to_owned())?;
        if matches!(script.pace, Pace::Leave) {
            connection.close();
            return Ok(None);
        }
        let sent = self.send_all(&mut connection, script);
        if sent.is_ok() {
            let is_held_up = connection.is_blocked();
            return Ok(Some(if is_held_up { HELD_UP } else { STILL_OPEN }.to_owned()));
        }
        // Whatever came before the end is read now; the reason for the end is the last of it.
        match self.read(&mut connection) {
            Err(end) if end.kind() == io::ErrorKind::ConnectionAborted => Err(end),
            _ => sent.map(|()| None),
        }
    }

    /// Goes on until it is over, or the server ends the connection.
    fn send_all(&mut self, connection: &mut Connection, script: &Script) -> io::Result<()> {
        connection.send(&script.first)?;
        let mut number = 0;
        while !self.is_over() {
            match &script.pace {
                Pace::Flood(make) if !connection.is_blocked() => {
                    let piece = make(number);
                    self.findings.sent_bytes += piece.len() as u64;
                    connection.send(&piece)?;
                    number += 1;
                }
                Pace::Flood(_) => {
                    std::thread::sleep(TICK);
                    connection.flush()?;
                }
                _ => std::thread::sleep(WAIT_TICK),
            }
            if script.is_read {
                self.read(connection)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, connection: &mut Connection) -> io::Result<()> {
        let (findings, mut buffer) = (&mut self.findings, [0; 16 << 10]);
        connection.read(&mut buffer, |payload| {
            if let Some(code) = error_code(payload) {
                findings.count(format!("error {code}"));
            }
        })
    }
}

/// The code of a refused command.
fn error_code(payload: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        r#type: String,
        code: String,
    }
    if payload.len() > REFUSAL_BYTES_MAX {
        return None;
    }
    let refusal: Refusal = serde_json::from_slice(payload).ok()?;
    (refusal.r#type == "error").then_some(refusal.code)
}

fn is_tick(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The status line of an answer in short: `HTTP 431`.
fn status_of(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    match text.split(' ').nth(1) {
        Some(status) if text.starts_with("HTTP/") => format!("HTTP {status}"),
        _ => "something that is not HTTP".to_owned(),
    }
}

/// A connection's end in short.
fn name_of(error: &io::Error) -> String {
    let text = error.to_string();
    if let Some(close) = text.strip_prefix("server closed with ") {
        return close.to_owned();
    }
    if let Some(answer) = text.strip_prefix("server does not upgrade: ") {
        return status_of(answer.as_bytes());
    }
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset".to_owned(),
        io::ErrorKind::UnexpectedEof => "closed".to_owned(),
        _ => text,
    }
}

const STILL_OPEN: &str = "open at the end";
const HELD_UP: &str = "open at the end, not read from";
const TICK: Duration = Duration::from_millis(1);
/// How often a connection that waits looks for the server's answer.
const WAIT_TICK: Duration = Duration::from_millis(50);
/// So that a refused attacker does not measure how fast this program connects.
const RETURN_PAUSE: Duration = Duration::from_millis(10);
const UNREAD_BUFFER_BYTES: usize = 4096;
/// Longer ones are the attacker's own publications.
const REFUSAL_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_have_short_names() {
        let other = |text: &str| io::Error::other(text.to_owned());
        assert_eq!(
            name_of(&other("server closed with 1009 message too big")),
            "1009 message too big"
        );
        assert_eq!(
            name_of(&other("server does not upgrade: HTTP/1.1 503 Busy\r\n\r\n")),
            "HTTP 503"
        );
        assert_eq!(name_of(&io::ErrorKind::BrokenPipe.into()), "reset");
        assert_eq!(status_of(b"\x88\x00"), "something that is not HTTP");
    }

    #[test]
    fn only_refusals_are_errors() {
        assert_eq!(
            error_code(br#"{"type":"error","id":1,"code":"rate_limited"}"#).as_deref(),
            Some("rate_limited")
        );
        assert_eq!(error_code(br#"{"type":"goodbye","code":"x"}"#), None);
        assert_eq!(error_code(b"xxx"), None);
    }

    #[test]
    fn answers_are_merged_and_the_most_frequent_come_first() {
        let mut all = Findings::default();
        all.count("reset".to_owned());
        for _ in 0..2 {
            let mut one = Findings::default();
            one.count("HTTP 431".to_owned());
            all.merge(one);
        }
        assert_eq!(all.answers_cell(), "HTTP 431 ×2, reset ×1");
    }
}
