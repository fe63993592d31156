//! `fanfare log inspect DIR [TOPIC]`: what there is.

use std::fmt::Write as _;
use std::iter;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytesize::ByteSize;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use fanfare::{Epoch, Payload, PayloadKind};
use fanfare_log::{Bounds, Log, ReadError, Recovery, Standing, StateError};

use super::directory::DataDirectory;
use super::survey::decoded;
use super::wire::topic_name;
use super::{counted, directory_argument, directory_of};
use crate::failure::{Failure, print};
use crate::logging::json_line;

/// The subcommand.
pub(super) fn command() -> Command {
    let flag = |name: &'static str, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("inspect")
        .about("Print what a data directory has")
        .long_about(
            "Print what a data directory has, as the next start would find it: segments, bytes, topics, and the damage that can \
             be seen without reading everything. Nothing in it is changed.",
        )
        .arg(directory_argument("Data directory, as for `fanfare serve --data`"))
        .arg(
            Arg::new(TOPIC)
                .value_name("TOPIC")
                .help("Print the newest publications of this topic instead"),
        )
        .arg(flag(TOPICS, "Print the topics too, in the order of their names").conflicts_with(TOPIC))
        .arg(
            Arg::new(AFTER)
                .long(AFTER)
                .value_name("NAME")
                .requires(TOPICS)
                .help("Begin behind this name: the last one of the page before"),
        )
        .arg(
            Arg::new(LIMIT)
                .long(LIMIT)
                .value_name("NUMBER")
                .default_value("20")
                .value_parser(value_parser!(u64).range(1..=10_000))
                .help("At most so many topics, or publications: 1 to 10000"),
        )
        .arg(flag(PAYLOADS, "Print what the publications carry").requires(TOPIC))
}

/// Prints what there is.
///
/// # Errors
/// The directory cannot be used, or does not have the topic.
pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let path = directory_of(matches)?;
    let limit = matches.get_one::<u64>(LIMIT).copied().unwrap_or_default();
    let directory = DataDirectory::open(path)?;
    let (log, recovery) = directory.rehearse_what_is_there()?;
    let inspection = Inspection { log, recovery };
    if let Some(topic) = matches.get_one::<String>(TOPIC) {
        let form = if matches.get_flag(PAYLOADS) {
            Form::WithPayload
        } else {
            Form::Position
        };
        return inspection.print_topic(topic, limit, form);
    }
    print(&inspection.summary(path)?)?;
    if matches.get_flag(TOPICS) {
        let after = matches.get_one::<String>(AFTER).map_or("", String::as_str);
        inspection.print_topics(after, limit)?;
    }
    Ok(())
}

/// What is printed of a publication.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Position,
    WithPayload,
}

/// A log as the next start would find it.
struct Inspection {
    log: Log,
    recovery: Recovery,
}

impl Inspection {
    fn summary(&self, path: &Path) -> Result<String, Failure> {
        let recovery = &self.recovery;
        let publications: u64 = self.topics().map(|(_, standing)| standing.count()).sum();
        let rows = [
            ("directory", path.display().to_string()),
            (
                "segments",
                format!("{}, {}", recovery.segments, size(recovery.bytes)),
            ),
            ("topics", recovery.topics.to_string()),
            ("publications", publications.to_string()),
            ("values", self.values()?),
            ("left", self.left()),
            ("next start", self.next_start()),
            ("damage", self.damage(path)),
        ];
        let mut text = String::new();
        for (name, value) in rows {
            // Writing into a string does not fail.
            let _ = writeln!(text, "{name:<13} {value}");
        }
        Ok(text)
    }

    fn topics(&self) -> impl Iterator<Item = (Arc<str>, Standing)> {
        let reader = self.log.reader();
        let mut cursor = Some(0);
        iter::from_fn(move || {
            let (page, next) = reader.topics(cursor?, TOPICS_AT_ONCE);
            cursor = next;
            Some(page)
        })
        .flatten()
    }

    /// The values, which may be damaged.
    fn values(&self) -> Result<String, Failure> {
        let state = self.log.state();
        let names = state.names().map_err(Failure::failed)?;
        let mut texts = Vec::new();
        for name in names {
            texts.push(match state.value(&name) {
                Ok(value) => format!("{name} ({})", size(value.map_or(0, |value| value.len() as u64))),
                Err(StateError::Damaged(_)) => format!("{name} (damaged)"),
                Err(error) => return Err(Failure::failed(error)),
            });
        }
        Ok(if texts.is_empty() {
            "none".to_owned()
        } else {
            texts.join(", ")
        })
    }

    fn left(&self) -> String {
        if self.recovery.is_closed {
            return "closed in order".to_owned();
        }
        "open: the server that had it was killed".to_owned()
    }

    fn next_start(&self) -> String {
        let mut does = Vec::new();
        if let Some(cut) = &self.recovery.truncated {
            does.push(format!(
                "cuts off {} at {} of {}, which were being written",
                counted(cut.bytes, "byte", "bytes"),
                cut.at,
                cut.file
            ));
        }
        if self.recovery.renewed > 0 {
            let why = if self.recovery.is_power_lost {
                "the machine ended while not everything was synced"
            } else {
                "positions may have been lost"
            };
            does.push(format!("begins a new epoch for every topic: {why}"));
        }
        if does.is_empty() {
            does.push("goes on where it was".to_owned());
        }
        does.join("; ")
    }

    fn damage(&self, path: &Path) -> String {
        let damages = &self.recovery.damages;
        let seen = match damages.listed.first() {
            None => "none seen".to_owned(),
            Some(first) => format!(
                "{}, the first is {}",
                counted(damages.count, "place", "places"),
                json_line(&first.to_string())
            ),
        };
        format!("{seen}; `fanfare log verify {}` reads everything", path.display())
    }

    fn print_topics(&self, after: &str, limit: u64) -> Result<(), Failure> {
        let mut topics: Vec<_> = self.topics().filter(|(name, _)| **name > *after).collect();
        topics.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut text = format!(
            "\n{:<13} {:>10} {:>10} {:>10} {:>12} {:<24} {:<24} topic\n",
            "epoch", "first", "last", "count", "bytes", "oldest", "newest"
        );
        for (name, standing) in topics.iter().take(limit as usize) {
            let oldest = if standing.count() > 0 {
                time(standing.oldest_ms)
            } else {
                "-".to_owned()
            };
            let _ = writeln!(
                text,
                "{:<13} {:>10} {:>10} {:>10} {:>12} {:<24} {:<24} {}",
                self.epoch(standing.epoch),
                standing.first,
                standing.last,
                standing.count(),
                standing.bytes,
                oldest,
                time(standing.last_ms),
                json_line(name),
            );
        }
        if let Some((last, _)) = topics.get(limit as usize - 1)
            && topics.len() as u64 > limit
        {
            let left = topics.len() as u64 - limit;
            let _ = writeln!(text, "and {left} more: --after '{}'", json_line(last));
        }
        print(&text)
    }

    /// An epoch that is about to end says nothing any more.
    fn epoch(&self, epoch: u64) -> String {
        if self.recovery.renewed > 0 {
            return "(new)".to_owned();
        }
        Epoch(epoch).to_string()
    }

    fn print_topic(&self, name: &str, limit: u64, form: Form) -> Result<(), Failure> {
        let Some(standing) = self.log.reader().standing(name) else {
            let name = name.escape_debug();
            return Err(Failure::Usage(vec![format!(
                "topic `{name}` is not in the directory, `--topics` prints those that are"
            )]));
        };
        print(&format!(
            "epoch {}, offsets {} to {}, {}, {}\n",
            self.epoch(standing.epoch),
            standing.first,
            standing.last,
            counted(standing.count(), "publication", "publications"),
            size(standing.bytes)
        ))?;
        for offset in (standing.first..=standing.last).rev().take(limit as usize) {
            print(&self.publication(name, offset, form)?)?;
        }
        Ok(())
    }

    /// One line of a publication. Each is read alone, so that a damaged one hides no other.
    fn publication(&self, topic: &str, offset: u64, form: Form) -> Result<String, Failure> {
        let one = Bounds { records: 1, bytes: 1 };
        let page = match self.log.reader().backward(topic, offset, one) {
            Ok(page) => page,
            Err(ReadError::Corrupt { file, at, .. }) => {
                return Ok(format!("{offset:>10} damaged, in {file} at {at}\n"));
            }
            Err(error) => return Err(Failure::failed(error)),
        };
        let Some(record) = page.publications.first() else {
            return Ok(format!("{offset:>10} missing\n"));
        };
        let time = time(record.time_ms);
        let place = format!("{offset:>10} {time} {:>8} B", record.body.len());
        if form == Form::Position {
            return Ok(place + "\n");
        }
        let topic = topic_name(topic).map_err(Failure::failed)?;
        let payload = decoded(&topic, record)
            .map_or_else(|error| error.to_string(), |read| payload(&read.draft.payload));
        Ok(format!("{place} {}\n", json_line(&payload)))
    }
}

/// A payload as JSON, or what it is.
fn payload(payload: &Payload) -> String {
    let text = String::from_utf8_lossy(payload.as_bytes());
    match payload.kind() {
        PayloadKind::Json => text.into_owned(),
        PayloadKind::Text => serde_json::Value::from(text).to_string(),
        PayloadKind::Binary => format!("base64 {}", STANDARD.encode(payload.as_bytes())),
    }
}

fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// A time in the form of RFC 3339, which has four digits for a year.
fn time(milliseconds: u64) -> String {
    if milliseconds > TIME_MAX_MS {
        return format!("{milliseconds} ms");
    }
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(milliseconds)).to_string()
}

const TOPIC: &str = "topic";
const TOPICS: &str = "topics";
const AFTER: &str = "after";
const LIMIT: &str = "limit";
const PAYLOADS: &str = "payloads";

const TOPICS_AT_ONCE: usize = 1_024;

/// The end of the year 9999.
const TIME_MAX_MS: u64 = 253_402_300_799_999;
