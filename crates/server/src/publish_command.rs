//! `fanfare pub`: publishes what the command line or standard input says, and waits until the server has it.

use std::io::{self, BufRead, Read};

use clap::{Arg, ArgAction, ArgMatches, Command};
use fanfare_client::{Client, IdempotencyKey, Key, PublishOptions};
use serde_json::value::{RawValue, to_raw_value};
use tokio::runtime::Runtime;

use crate::endpoint_flags::{EXIT_CODES, connect, failed, flags, runtime};
use crate::failure::{Failure, note};

/// The subcommand.
pub(crate) fn command() -> Command {
    Command::new("pub")
        .about("Publish to a topic")
        .long_about(
            "Publish to a topic and wait until the server has it.\n\nDATA that is JSON is published as it is written; \
             anything else is published as a JSON string. Without DATA, or with `-`, each line of standard input is one \
             publication.",
        )
        .after_help(EXIT_CODES)
        .arg(Arg::new(TOPIC).value_name("TOPIC").required(true).help("Topic to publish to"))
        .arg(
            Arg::new(DATA)
                .value_name("DATA")
                .allow_negative_numbers(true)
                .help("What to publish; `-` takes each line of standard input"),
        )
        .arg(
            Arg::new(KEY)
                .long("key")
                .value_parser(|text: &str| Key::parse(text))
                .help("What each publication is the newest state of"),
        )
        .arg(
            Arg::new(IDEMPOTENCY_KEY)
                .long("idempotency-key")
                .value_name("KEY")
                .value_parser(|text: &str| IdempotencyKey::parse(text))
                .help("What the publication is known by: one that the server has already is not published again"),
        )
        .args(flags())
        .arg(
            Arg::new(VERBOSE)
                .long("verbose")
                .short('v')
                .action(ArgAction::SetTrue)
                .help("Print topic and offset of each publication to standard error, and whether it is repeated"),
        )
}

/// Publishes and tells of each publication when asked to.
///
/// # Errors
/// The server cannot be reached or refuses, or standard input cannot be read. What came before is published.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let data = matches.get_one::<String>(DATA).map_or("-", String::as_str);
    if data == "-" && matches.contains_id(IDEMPOTENCY_KEY) {
        let problem =
            "--idempotency-key names one publication, and each line of standard input is one; give DATA";
        return Err(Failure::Usage(vec![problem.to_owned()]));
    }
    let runtime = runtime()?;
    let mut client = runtime.block_on(connect(matches))?;
    client.ignore_pushes();
    let publisher = Publisher {
        runtime: &runtime,
        client: &client,
        topic: matches.get_one::<String>(TOPIC).map_or("", String::as_str),
        options: PublishOptions {
            key: matches.get_one(KEY).cloned(),
            idempotency_key: matches.get_one(IDEMPOTENCY_KEY).cloned(),
            ..PublishOptions::default()
        },
        is_verbose: matches.get_flag(VERBOSE),
    };
    let outcome = match data {
        "-" => publisher.publish_lines(io::stdin().lock()),
        data => publisher.publish(data),
    };
    runtime.block_on(client.close());
    outcome
}

/// Everything one publication needs but its data.
struct Publisher<'a> {
    runtime: &'a Runtime,
    client: &'a Client,
    topic: &'a str,
    options: PublishOptions,
    is_verbose: bool,
}

impl Publisher<'_> {
    /// Publishes each line, in order, the next one after the server has the one before.
    fn publish_lines(&self, mut input: impl BufRead) -> Result<(), Failure> {
        let mut number = 0;
        while let Some(line) = next_line(&mut input).map_err(|why| in_line(number + 1, &why))? {
            number += 1;
            self.publish(&line)?;
        }
        Ok(())
    }

    fn publish(&self, text: &str) -> Result<(), Failure> {
        let data = as_json(text)?;
        let published = self
            .runtime
            .block_on(self.client.publish_with(self.topic, &*data, self.options.clone()))
            .map_err(|error| failed(self.client, &error))?;
        if self.is_verbose {
            let repeated = if published.repeated { " repeated" } else { "" };
            note(&format!(
                "{} {}{repeated}",
                published.topic, published.position.offset
            ));
        }
        Ok(())
    }
}

/// Text that is JSON as it is, other text as a JSON string.
fn as_json(text: &str) -> Result<Box<RawValue>, Failure> {
    RawValue::from_string(text.to_owned())
        .or_else(|_| to_raw_value(text))
        .map_err(Failure::failed)
}

/// The next line without its end; none at the end of the input.
fn next_line(input: &mut impl BufRead) -> Result<Option<String>, String> {
    let mut line = Vec::new();
    input
        .take(LINE_BYTES_MAX + 1)
        .read_until(b'\n', &mut line)
        .map_err(|error| error.to_string())?;
    if line.is_empty() {
        return Ok(None);
    }
    let text = line.strip_suffix(b"\n").unwrap_or(&line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.len() as u64 > LINE_BYTES_MAX {
        return Err(format!(
            "longer than the limit of {LINE_BYTES_MAX} bytes; split it"
        ));
    }
    match std::str::from_utf8(text) {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err("not UTF-8; convert the input".to_owned()),
    }
}

fn in_line(number: usize, why: &str) -> Failure {
    Failure::Failed(format!("line {number} of standard input is {why}"))
}

/// No server takes a larger message.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

const TOPIC: &str = "topic";
const DATA: &str = "data";
const KEY: &str = "key";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const VERBOSE: &str = "verbose";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_published_as_it_is_and_other_text_as_a_string() {
        for (text, json) in [
            ("{\"x\": 1.0}", "{\"x\": 1.0}"),
            ("12345678901234567890", "12345678901234567890"),
            ("hello", "\"hello\""),
            ("", "\"\""),
            ("{\"x\":", "\"{\\\"x\\\":\""),
        ] {
            assert_eq!(as_json(text).unwrap().get(), json);
        }
    }

    #[test]
    fn lines_are_read_without_their_ends() {
        let mut input = &b"a\r\n\nlast"[..];
        let lines: Vec<_> = std::iter::from_fn(|| next_line(&mut input).unwrap()).collect();
        assert_eq!(lines, ["a", "", "last"]);
    }

    #[test]
    fn a_line_that_is_too_long_or_no_text_is_refused() {
        assert!(next_line(&mut vec![b'x'; LINE_BYTES_MAX as usize + 9].as_slice()).is_err());
        assert!(next_line(&mut &b"\xff\n"[..]).is_err());
    }
}
