//! From the commands of a Centrifuge client to the hub's.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::filter;
use super::framing::{Encoding, Undecodable};
use super::names::topic_of;
use super::request::{self, Command as Said};
use crate::codes::{Disconnect, ErrorCode};
use crate::dialect::BadMessage;
use crate::{
    Command, CommandId, Epoch, Greeting, PRESENCE_PAGE_MAX, Payload, Position, PublishOptions, Reading,
    Rejection, Since, TopicName, Verb, Wanted,
};

/// The most publications that a client is given at once, be it as history or because it missed them.
pub const PUBLICATIONS_MAX: u32 = 300;

/// The flag of a subscription that is rather refused than begun anew.
const INSISTS: i64 = 2;

/// Reads one command of a client.
pub(crate) fn decode(encoding: Encoding, message: &[u8]) -> Result<Command<'static>, BadMessage> {
    let said = encoding
        .read(message)
        .map_err(|Undecodable| BadMessage::Fatal(Disconnect::ProtocolError))?;
    if said.id == 0 {
        return match said.send {
            // There is nobody to take what wants no answer.
            Some(_) => Err(BadMessage::Fatal(Disconnect::NotAvailable)),
            None => Ok(Command {
                id: None,
                verb: Verb::Pong,
            }),
        };
    }
    let id = Some(CommandId::of(said.id));
    let verb = verb_of(encoding, said).map_err(|refused| refused.of(id.as_ref()))?;
    Ok(Command { id, verb })
}

/// Reads the one thing that a client says that only receives: who it is. It says it once.
pub(crate) fn decode_connect(encoding: Encoding, message: &[u8]) -> Result<Command<'static>, BadMessage> {
    let connect = encoding
        .read_connect(message)
        .map_err(|Undecodable| BadMessage::Fatal(Disconnect::ProtocolError))?;
    Ok(Command {
        id: None,
        verb: hello(encoding, connect),
    })
}

/// Why a command cannot be taken.
enum Refused {
    /// The connection is closed.
    Fatal(Disconnect),
    /// The command is refused.
    Command(ErrorCode, &'static str),
}

impl Refused {
    fn of(self, id: Option<&CommandId>) -> BadMessage {
        match self {
            Self::Fatal(cause) => BadMessage::Fatal(cause),
            Self::Command(code, message) => BadMessage::Rejected(Rejection::new(id.cloned(), code, message)),
        }
    }
}

const BAD_REQUEST: Refused = Refused::Fatal(Disconnect::ProtocolError);

/// What a command asks: where several things are said, the first in the order of the protocol.
fn verb_of(encoding: Encoding, said: Said) -> Result<Verb<'static>, Refused> {
    if let Some(connect) = said.connect {
        return Ok(hello(encoding, connect));
    }
    if let Some(subscribe) = said.subscribe {
        return self::subscribe(subscribe);
    }
    if let Some(unsubscribe) = said.unsubscribe {
        let topics = vec![topic(&unsubscribe.channel)?];
        return Ok(Verb::Unsubscribe { topics });
    }
    if let Some(publish) = said.publish {
        return self::publish(encoding, publish);
    }
    if let Some(presence) = said.presence {
        return Ok(Verb::Presence {
            topic: topic(&presence.channel)?,
            after: None,
            limit: PRESENCE_PAGE_MAX,
        });
    }
    if let Some(stats) = said.presence_stats {
        let topic = topic(&stats.channel)?;
        return Ok(Verb::Attendance { topic });
    }
    if let Some(history) = said.history {
        return self::history(&history);
    }
    if said.ping.is_some() {
        return Err(BAD_REQUEST);
    }
    if said.send.is_some() {
        return Err(Refused::Fatal(Disconnect::NotAvailable));
    }
    if let Some(rpc) = said.rpc {
        return Ok(Verb::Call {
            method: Cow::Owned(rpc.method),
            payload: payload(encoding, rpc.data).unwrap_or_else(Payload::null),
        });
    }
    if let Some(refresh) = said.refresh {
        let token = Cow::Owned(refresh.token);
        return Ok(Verb::Authenticate { token });
    }
    match said.sub_refresh {
        Some(refresh) => sub_refresh(refresh),
        None => Err(BAD_REQUEST),
    }
}

fn sub_refresh(asked: request::SubRefresh) -> Result<Verb<'static>, Refused> {
    let topic = topic(&asked.channel)?;
    if asked.r#type != 0 {
        let message = "shared polls are not available here, refresh the subscription to a stream";
        return Err(Refused::Command(ErrorCode::NotAvailable, message));
    }
    let token = Cow::Owned(asked.token);
    Ok(Verb::Renew { topic, token })
}

/// The topic of a channel. Its name is checked by the hub; to name none is no way to speak.
fn topic(channel: &str) -> Result<Cow<'static, str>, Refused> {
    if channel.is_empty() {
        return Err(BAD_REQUEST);
    }
    Ok(Cow::Owned(topic_of(channel).into_owned()))
}

fn hello(encoding: Encoding, connect: request::Connect) -> Verb<'static> {
    let request::Connect {
        token,
        data,
        subs,
        name,
        version,
        headers,
        ..
    } = connect;
    let topics: BTreeSet<TopicName> = subs
        .keys()
        .filter_map(|channel| TopicName::parse(&topic_of(channel)).ok())
        .collect();
    let greeting = Greeting {
        data: payload(encoding, data),
        name,
        version,
        topics: topics.into_iter().collect(),
        headers: headers.into_iter().collect(),
    };
    Verb::Hello {
        token: (!token.is_empty()).then_some(Cow::Owned(token)),
        places: places(&subs),
        greeting: Box::new(greeting),
    }
}

/// Where a client stands in what the server subscribes it to.
fn places(subs: &HashMap<String, request::Subscribe>) -> Vec<Wanted<'static>> {
    let recovering = subs.iter().filter(|(_, sub)| sub.recover);
    recovering
        .map(|(channel, sub)| Wanted {
            topic: Cow::Owned(topic_of(channel).into_owned()),
            since: Some(Since::Position(place(&sub.epoch, sub.offset))),
        })
        .collect()
}

/// A place that a client names. No epoch is any, and one that none of ours could be is lost like one that is over.
fn place(epoch: &str, offset: u64) -> Position {
    let otherwise = if epoch.is_empty() { Epoch::ANY } else { Epoch::OVER };
    Position::from_parts(epoch, offset).unwrap_or(Position {
        epoch: otherwise,
        offset,
    })
}

fn subscribe(asked: request::Subscribe) -> Result<Verb<'static>, Refused> {
    let topic = topic(&asked.channel)?;
    if asked.r#type != 0 {
        let message = "maps and shared polls are not available here, subscribe to a stream";
        return Err(Refused::Command(ErrorCode::NotAvailable, message));
    }
    if !matches!(&*asked.delta, "" | "fossil") {
        return Err(BAD_REQUEST);
    }
    if asked.tf.is_some() && !asked.delta.is_empty() {
        let message = "a filter and deltas exclude each other, subscribe with one of them";
        return Err(Refused::Command(ErrorCode::BadCommand, message));
    }
    let filter = asked.tf.as_ref().map(filter::of).transpose();
    let filter = filter.map_err(|message| Refused::Command(ErrorCode::BadCommand, message))?;
    let since = asked
        .recover
        .then(|| Since::Position(place(&asked.epoch, asked.offset)));
    Ok(Verb::Subscribe {
        topics: vec![Wanted { topic, since }],
        occupancy: false,
        every: None,
        presence: asked.join_leave,
        deltas: !asked.delta.is_empty(),
        filter: filter.map(Arc::new),
        insists: asked.flag & INSISTS != 0,
        token: (!asked.token.is_empty()).then_some(Cow::Owned(asked.token)),
    })
}

fn publish(encoding: Encoding, asked: request::Publish) -> Result<Verb<'static>, Refused> {
    let topic = topic(&asked.channel)?;
    if asked.r#type != 0 {
        let message = "maps are not available here, publish to a stream";
        return Err(Refused::Command(ErrorCode::NotAvailable, message));
    }
    let Some(payload) = payload(encoding, asked.data) else {
        let message = "there is no `data` to publish";
        return Err(Refused::Command(ErrorCode::BadCommand, message));
    };
    Ok(Verb::Publish {
        topic,
        payload,
        options: PublishOptions::default(),
        echo: true,
    })
}

fn history(asked: &request::History) -> Result<Verb<'static>, Refused> {
    let topic = topic(&asked.channel)?;
    let limit = u32::try_from(asked.limit).unwrap_or(PUBLICATIONS_MAX);
    let since = asked
        .since
        .as_ref()
        .map(|since| place(&since.epoch, since.offset));
    let reading = match (since, asked.reverse) {
        (Some(since), true) if since.offset == 0 => {
            let message = "there is nothing before offset 0, read backwards from another place or from none";
            return Err(Refused::Command(ErrorCode::BadCommand, message));
        }
        (Some(since), true) => Reading::Before(since),
        (None, true) => Reading::Newest,
        (Some(since), false) => Reading::Since(Since::Position(since)),
        (None, false) => Reading::Oldest,
    };
    Ok(Verb::History {
        topic,
        reading,
        limit: limit.min(PUBLICATIONS_MAX),
    })
}

/// What a client sends: JSON, if it is, whatever the encoding; none where there is nothing.
fn payload(encoding: Encoding, data: Bytes) -> Option<Payload> {
    if data.is_empty() {
        return None;
    }
    match (encoding, serde_json::from_slice::<&RawValue>(&data)) {
        (_, Ok(json)) => Some(Payload::json(json)),
        (Encoding::Protobuf, Err(_)) => Some(Payload::binary(data)),
        (Encoding::Json, Err(_)) => None,
    }
}
