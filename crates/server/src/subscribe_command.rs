//! `fanfare sub`: prints what is published to topics, one line per publication, until it is interrupted.

use std::collections::HashSet;
use std::io::{self, ErrorKind, Write};

use clap::{Arg, ArgAction, ArgMatches, Command};
use fanfare_client::{
    Attendance, Client, Error, Every, PresenceUpdate, Present, Push, Since, SubscribeOptions,
};
use serde::Serialize;

use crate::endpoint_flags::{EXIT_CODES, connect, failed, flags, runtime};
use crate::failure::{Failure, note, tell};

/// The subcommand.
pub(crate) fn command() -> Command {
    Command::new("sub")
        .about("Print what is published to topics")
        .long_about(
            "Print what is published to topics, one line per publication, until interrupted.\n\nA connection that ends \
             is made again, and goes on from where it was. What is gone by then is told on standard error.",
        )
        .after_help(EXIT_CODES)
        .arg(
            Arg::new(TOPICS)
                .value_name("TOPIC")
                .required(true)
                .num_args(1..)
                .help("Topics to subscribe to"),
        )
        .arg(
            Arg::new(EVERY)
                .long("every")
                .value_name("DURATION")
                .value_parser(|text: &str| text.parse::<Every>())
                .help("Print the newest at most that often, such as `2s`"),
        )
        .args([since_flag(), last_flag(), presence_flag()])
        .args(flags())
        .arg(
            Arg::new(JSON)
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print the whole message with topic, offset, time and sender, not its data alone"),
        )
}

fn since_flag() -> Arg {
    Arg::new(SINCE)
        .long("since")
        .value_name("SINCE")
        .value_parser(|text: &str| text.parse::<Since>())
        .help("Begin in the past: with what is not older, such as `5m`, or behind a position, such as `k2w9:17`")
}

fn last_flag() -> Arg {
    Arg::new(LAST)
        .long("last")
        .value_name("NUMBER")
        .value_parser(clap::value_parser!(u32))
        .conflicts_with(SINCE)
        .help("Begin with so many of the newest of each topic")
}

fn presence_flag() -> Arg {
    Arg::new(PRESENCE)
        .long("presence")
        .action(ArgAction::SetTrue)
        .help(
            "Tell on standard error who is there, who comes and who goes; with --json in lines of their own",
        )
}

/// Where in the past it begins, if it does.
fn beginning(matches: &ArgMatches) -> Option<Since> {
    let last = matches.get_one(LAST).copied().map(Since::Last);
    last.or_else(|| matches.get_one(SINCE).copied())
}

/// Prints publications until the terminal interrupts it or the reader of its output has gone.
///
/// # Errors
/// The server cannot be reached, refuses, or says not to come back.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let topics: Vec<&String> = matches.get_many(TOPICS).into_iter().flatten().collect();
    let form = if matches.get_flag(JSON) {
        Form::Whole
    } else {
        Form::Payload
    };
    let options = SubscribeOptions {
        every: matches.get_one(EVERY).copied(),
        since: beginning(matches),
        presence: matches.get_flag(PRESENCE),
        ..SubscribeOptions::default()
    };
    runtime()?.block_on(async {
        let mut client = connect(matches).await?;
        let outcome = tokio::select! {
            outcome = print_all(&mut client, &topics, options, form) => outcome,
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Failure::failed),
        };
        client.close().await;
        outcome
    })
}

/// What of a message is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Payload,
    Whole,
}

/// Subscribes and prints until the server is done with this client, or the reader has gone.
async fn print_all(
    client: &mut Client,
    topics: &[&String],
    options: SubscribeOptions,
    form: Form,
) -> Result<(), Failure> {
    let subscribed = client.subscribe_with(topics, options).await;
    subscribed.map_err(|error| failed(client, &error))?;
    let mut left: HashSet<String> = topics.iter().map(ToString::to_string).collect();
    while let Some(push) = client.next().await {
        if let Some(warning) = warning(&push) {
            tell("warning", &warning);
        }
        if let Some(line) = line(&push, form)? {
            match print_line(&line) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                printed => printed.map_err(|error| failed_to_print(&error))?,
            }
        }
        match push {
            Push::Presence { topic, update } if form == Form::Payload => {
                note(&presence_line(&topic, &update));
            }
            Push::Unsubscribed(topics) | Push::NotSubscribedAgain { topics, .. } => {
                left.retain(|topic| !topics.contains(topic));
                if left.is_empty() {
                    return Err(Failure::Failed("no topic is left".to_owned()));
                }
            }
            _ => {}
        }
    }
    Err(failed(client, &Error::Ended))
}

/// What the person at the terminal should know about a push that is no publication.
fn warning(push: &Push) -> Option<String> {
    match push {
        Push::Missed { topic, gap } => Some(match gap.count {
            Some(count) => format!("{count} publications of {topic} were missed"),
            None => format!("{topic}: {gap}"),
        }),
        Push::Disconnected {
            reason,
            reconnect_after: Some(delay),
        } => Some(format!("{reason}; connecting again in {} ms", delay.as_millis())),
        Push::Postponed {
            topics,
            refusal,
            retry_after,
        } => Some(format!(
            "not subscribed to {} yet: {refusal}; asking again in {} ms",
            topics.join(", "),
            retry_after.as_millis()
        )),
        Push::NotSubscribedAgain { topics, refusal } => Some(format!(
            "not subscribed to {} any more: {refusal}",
            topics.join(", ")
        )),
        Push::Unsubscribed(topics) => Some(format!("not subscribed to {} any more", topics.join(", "))),
        Push::NotAuthenticated { reason } => Some(format!("the token is not renewed: {reason}")),
        Push::Refused(refusal) => Some(refusal.to_string()),
        _ => None,
    }
}

/// What of a push goes to standard output, on one line.
fn line(push: &Push, form: Form) -> Result<Option<String>, Failure> {
    let text = match (push, form) {
        (Push::Publication(publication), Form::Payload) => Ok(publication.payload.as_text().into_owned()),
        (Push::Publication(publication), Form::Whole) => serde_json::to_string(publication),
        (Push::Presence { topic, update }, Form::Whole) => {
            let kind = "attendance";
            serde_json::to_string(&Attended { kind, topic, update })
        }
        _ => return Ok(None),
    };
    text.map(|text| Some(compact(&text))).map_err(Failure::failed)
}

/// What is told of those who are there, as the object of the `json` dialect that it came in.
#[derive(Serialize)]
struct Attended<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    topic: &'a str,
    #[serde(flatten)]
    update: &'a PresenceUpdate,
}

/// The same for people: `room: 3 are there: ada bob 00000001000002a7`, and then `room: 3 are there: +eve -bob`.
fn presence_line(topic: &str, update: &PresenceUpdate) -> String {
    let Attendance { connections, .. } = update.attendance();
    let names = match update {
        PresenceUpdate::Everyone { members, .. } => names(" ", members),
        PresenceUpdate::Changed { came, went, .. } => names(" +", came) + &names(" -", went),
    };
    format!("{topic}: {connections} are there:{names}")
}

/// Users, and connections that have none, each behind a sign.
fn names(sign: &str, members: &[Present]) -> String {
    let named = members.iter().map(|member| {
        let name = member.user.as_ref().unwrap_or(&member.connection);
        format!("{sign}{}", name.escape_debug())
    });
    named.collect()
}

/// JSON without the white space between its tokens; everything else stays as it was written.
fn compact(json: &str) -> String {
    let (mut is_text, mut is_escaped) = (false, false);
    let mut keep = |character: char| {
        let is_kept = is_text || !character.is_ascii_whitespace();
        is_text ^= character == '"' && !is_escaped;
        is_escaped = is_text && character == '\\' && !is_escaped;
        is_kept
    };
    json.chars().filter(|character| keep(*character)).collect()
}

fn print_line(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

fn failed_to_print(error: &io::Error) -> Failure {
    Failure::Failed(format!("standard output cannot be written: {error}"))
}

const TOPICS: &str = "topics";
const EVERY: &str = "every";
const SINCE: &str = "since";
const LAST: &str = "last";
const PRESENCE: &str = "presence";
const JSON: &str = "json";

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn white_space_goes_between_tokens_and_stays_in_texts() {
        for (json, expected) in [
            ("{ \"a b\" :\n [ 1.0 ,\t2 ] }", "{\"a b\":[1.0,2]}"),
            (r#"" \" \\" "#, r#"" \" \\""#),
            (r#"["\\" , "x y"]"#, r#"["\\","x y"]"#),
        ] {
            assert_eq!(compact(json), expected);
        }
    }
}
