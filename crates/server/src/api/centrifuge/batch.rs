//! Several commands in one call, done in their order.

use std::collections::BTreeMap;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::Desk;
use super::answer::{Code, Done, Failure};
use super::command::{Command, parse};
use crate::api::answer::{Code as OurCode, Problem};

/// The method's name.
pub(super) const METHOD: &str = "batch";

/// Commands in their order; one that is none is answered in its place.
pub(super) struct Batch<'a> {
    commands: Vec<(String, Option<Command<'a>>)>,
}

/// Each command is an object with the method as its only field. Whether they may run at the same time (`parallel`) is not
/// read: it allows it, and they are done in their order.
#[derive(Deserialize)]
struct BatchBody<'a> {
    #[serde(borrow)]
    commands: Vec<BTreeMap<String, &'a RawValue>>,
}

/// What a command of a batch is answered: its result by its name, or an error.
enum Reply {
    Done(String, Done),
    Failed(Failure),
}

#[derive(Serialize)]
struct Replies {
    replies: Vec<Box<RawValue>>,
}

impl<'a> Batch<'a> {
    /// All commands of a call.
    ///
    /// # Errors
    /// The body is no JSON object, a command is not, or a parameter of one is of the wrong kind.
    pub(super) fn decode(body: &'a [u8]) -> Result<Self, Problem> {
        let text = std::str::from_utf8(body)
            .map_err(|_| Problem::new(OurCode::BadJson, "the body is not UTF-8, which JSON is"))?;
        let body: BatchBody<'a> = parse(text)?;
        if body.commands.len() > COMMANDS_MAX {
            let message = format!(
                "{} commands are given, a batch has at most {COMMANDS_MAX}",
                body.commands.len()
            );
            return Err(Problem::new(OurCode::TooLarge, message));
        }
        let commands = body.commands.into_iter().map(command);
        let commands = commands.collect::<Result<_, _>>()?;
        Ok(Self { commands })
    }

    /// Does them one after the other, until their replies are as long as they may be.
    pub(super) async fn run(self, desk: Desk<'_>) -> Response {
        let (mut replies, mut bytes) = (Vec::with_capacity(self.commands.len()), 0);
        for (method, command) in self.commands {
            let outcome = match command {
                _ if bytes > REPLIES_BYTES_MAX => Err(no_room(bytes)),
                Some(command) => command.run(desk).await,
                None => Err(no_method(&method)),
            };
            let reply = match outcome {
                Ok(done) => Reply::Done(method, done),
                Err(failure) => Reply::Failed(failure),
            };
            let reply = to_raw_value(&reply).expect("all maps in it have text as keys");
            bytes += reply.get().len();
            replies.push(reply);
        }
        Json(Replies { replies }).into_response()
    }
}

fn command(mut fields: BTreeMap<String, &RawValue>) -> Result<(String, Option<Command<'_>>), Problem> {
    match (fields.pop_first(), fields.len()) {
        (Some((method, parameters)), 0) => {
            let command = Command::parse(&method, parameters.get()).transpose()?;
            Ok((method, command))
        }
        (first, _) => {
            let count = fields.len() + usize::from(first.is_some());
            let message = format!("a command of the batch has {count} fields, it has one: the method");
            Err(Problem::new(OurCode::BadBody, message))
        }
    }
}

fn no_method(method: &str) -> Failure {
    let message =
        format!("{method:?} is no command of a batch, send a method of this API other than `batch`");
    Failure::new(Code::MethodNotFound, message)
}

fn no_room(bytes: usize) -> Failure {
    let message = format!(
        "the replies before it are {bytes} bytes, beyond {REPLIES_BYTES_MAX} nothing more is done; send it in another batch"
    );
    Failure::new(Code::LimitExceeded, message)
}

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Done(method, done) => serializer.collect_map([(method, done)]),
            Self::Failed(failure) => serializer.collect_map([("error", failure)]),
        }
    }
}

/// Bytes of replies behind which no command is done any more. Beyond: error 106 for each of the rest.
const REPLIES_BYTES_MAX: usize = 4 << 20;

/// Commands of a batch. Beyond: 413.
const COMMANDS_MAX: usize = 1_000;
