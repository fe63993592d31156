//! What the hub says, in the words of Centrifuge.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::codes::{disconnect_of, error_of, error_of_application};
use super::fossil;
use super::framing::Encoding;
use super::names::{channel_of, client_of};
use super::reply::{self, ClientInfo, ConnectResult, SubscribeResult};
use super::session::session_of;
use super::wrapping::Wrapping;
use crate::codes::ErrorCode;
use crate::dialect::Direct;
use crate::{
    Attendance, CommandId, ConnectionId, Granted, HistoryPage, Loss, Payload, PayloadKind, Position,
    PresencePage, Present, Publication, Publisher, Push, Reply, SubscribedTopic, Tags, Timestamp, TopicName,
    UserName, Welcome,
};

/// The version that clients are told: of the server, which has one protocol.
const VERSION: &str = concat!("Fanfare ", env!("CARGO_PKG_VERSION"));

/// Appends the messages of a publication for the members of a channel. What comes on a topic of the server's is a message of
/// no channel.
pub(crate) fn publication(wrapping: Wrapping, publication: &Publication, bytes: &mut Vec<u8>) {
    let topic = &publication.draft.topic;
    let push = if topic.is_reserved() {
        message(wrapping.encoding, &publication.draft.payload)
    } else {
        published(wrapping.encoding, publication).map(|published| reply::Push {
            channel: channel(topic),
            r#pub: Some(published),
            ..reply::Push::default()
        })
    };
    if let Some(push) = push {
        put_push(wrapping, push, bytes);
    }
}

/// Appends the message of a publication for a member that has chosen deltas, and has the payload before it or nothing yet.
pub(crate) fn delta(
    wrapping: Wrapping,
    publication: &Publication,
    before: Option<&Payload>,
    bytes: &mut Vec<u8>,
) {
    if let Some(published) = published_as_delta(wrapping.encoding, publication, before) {
        let push = reply::Push {
            channel: channel(&publication.draft.topic),
            r#pub: Some(published),
            ..reply::Push::default()
        };
        put_push(wrapping, push, bytes);
    }
}

/// Appends what was sent to this connection alone.
pub(crate) fn direct(wrapping: Wrapping, sent: &Direct, bytes: &mut Vec<u8>) {
    if let Some(push) = message(wrapping.encoding, &sent.payload) {
        put_push(wrapping, push, bytes);
    }
}

/// Appends the answer to a command. Where no command is answered, what is said is a push.
pub(crate) fn reply(wrapping: Wrapping, id: Option<&CommandId>, reply: &Reply, bytes: &mut Vec<u8>) {
    let Some(id) = id.and_then(CommandId::as_number) else {
        return unasked(wrapping, reply, bytes);
    };
    let answer = match answer(wrapping, reply) {
        Ok(answer) => answer,
        Err(error) => reply::Reply {
            error: Some(error),
            ..reply::Reply::default()
        },
    };
    wrapping.encoding.put_reply(&reply::Reply { id, ..answer }, bytes);
}

/// Appends what the server says unasked.
pub(crate) fn push(wrapping: Wrapping, push: &Push, bytes: &mut Vec<u8>) {
    match push {
        Push::Attendance(diff) => {
            let channel = channel(&diff.topic);
            let came = diff.came.iter().map(|present| (present, true));
            let went = diff.went.iter().map(|present| (present, false));
            for (present, is_here) in came.chain(went) {
                let client = || of_client(wrapping.encoding, present);
                let push = reply::Push {
                    channel: channel.clone(),
                    join: is_here.then(client),
                    leave: (!is_here).then(client),
                    ..reply::Push::default()
                };
                put_push(wrapping, push, bytes);
            }
        }
        Push::PositionLost { topic } => {
            put_unsubscribe(wrapping, topic, (2500, "insufficient state"), bytes);
        }
        Push::LeaveEnded { topic } => {
            put_unsubscribe(wrapping, topic, (2501, "subscription expired"), bytes);
        }
        Push::Goodbye(goodbye) if wrapping.has_goodbye() => {
            let (code, reason) = disconnect_of(&goodbye.disconnect);
            let push = reply::Push {
                disconnect: Some(reply::Disconnect {
                    code: code.into(),
                    reason: reason.to_owned(),
                }),
                ..reply::Push::default()
            };
            put_push(wrapping, push, bytes);
        }
        // Clients are welcomed when they ask, and a close frame says what a goodbye would.
        Push::Welcome(_) | Push::Goodbye(_) | Push::Occupancy { .. } | Push::Members(_) | Push::Missed(_) => {
        }
    }
}

fn unasked(wrapping: Wrapping, reply: &Reply, bytes: &mut Vec<u8>) {
    match reply {
        Reply::Welcomed { welcome, topics } => {
            let push = reply::Push {
                connect: Some(connected(wrapping, welcome, topics)),
                ..reply::Push::default()
            };
            put_push(wrapping, push, bytes);
        }
        Reply::Subscribed { topics } => {
            for begun in topics {
                let (epoch, offset) = place(begun.position, begun.is_recoverable);
                let push = reply::Push {
                    channel: channel(&begun.topic),
                    subscribe: Some(reply::Subscribe {
                        recoverable: begun.is_recoverable,
                        epoch,
                        offset,
                        positioned: begun.is_recoverable,
                        data: given(wrapping.encoding, begun),
                    }),
                    ..reply::Push::default()
                };
                put_push(wrapping, push, bytes);
                // There is no place for them in the push.
                for missed in &begun.publications {
                    publication(wrapping, missed, bytes);
                }
            }
        }
        Reply::Unsubscribed { topics } => {
            for topic in topics {
                put_unsubscribe(wrapping, topic, (2000, "server unsubscribe"), bytes);
            }
        }
        Reply::Authenticated { expires_at, time, .. } => {
            let (expires, ttl) = lifetime(*expires_at, *time);
            let push = reply::Push {
                refresh: Some(reply::Lifetime { expires, ttl }),
                ..reply::Push::default()
            };
            put_push(wrapping, push, bytes);
        }
        _ => {}
    }
}

fn put_unsubscribe(wrapping: Wrapping, topic: &TopicName, (code, reason): (u32, &str), bytes: &mut Vec<u8>) {
    let push = reply::Push {
        channel: channel(topic),
        unsubscribe: Some(reply::Unsubscribe {
            code,
            reason: reason.to_owned(),
        }),
        ..reply::Push::default()
    };
    put_push(wrapping, push, bytes);
}

fn put_push(wrapping: Wrapping, push: reply::Push, bytes: &mut Vec<u8>) {
    if wrapping.encoding == Encoding::Json && !bytes.is_empty() {
        bytes.push(b'\n');
    }
    if wrapping.is_bare {
        return wrapping.encoding.put_push(&push, bytes);
    }
    let reply = reply::Reply {
        push: Some(push),
        ..reply::Reply::default()
    };
    wrapping.encoding.put_reply(&reply, bytes);
}

/// The result of a command, or the error that takes its place.
fn answer(wrapping: Wrapping, reply: &Reply) -> Result<reply::Reply, reply::Error> {
    let (nothing, encoding) = (reply::Reply::default, wrapping.encoding);
    Ok(match reply {
        Reply::Welcomed { welcome, topics } => reply::Reply {
            connect: Some(connected(wrapping, welcome, topics)),
            ..nothing()
        },
        Reply::Subscribed { topics } => reply::Reply {
            subscribe: topics.first().map(|begun| subscribed(encoding, begun)),
            ..nothing()
        },
        Reply::Unsubscribed { .. } => reply::Reply {
            unsubscribe: Some(reply::Nothing {}),
            ..nothing()
        },
        Reply::Published { .. } | Reply::Sent => reply::Reply {
            publish: Some(reply::Nothing {}),
            ..nothing()
        },
        Reply::History(page) => reply::Reply {
            history: Some(history(encoding, page)?),
            ..nothing()
        },
        Reply::Presence(page) => reply::Reply {
            presence: Some(presence(encoding, page)?),
            ..nothing()
        },
        Reply::Attendance { attendance, .. } => reply::Reply {
            presence_stats: Some(presence_stats(*attendance)),
            ..nothing()
        },
        Reply::Result { payload } => reply::Reply {
            rpc: Some(reply::RpcResult {
                data: data(encoding, payload).ok_or_else(|| error_of(ErrorCode::Unavailable))?,
            }),
            ..nothing()
        },
        Reply::Authenticated {
            connection,
            expires_at,
            time,
            ..
        } => {
            let (expires, ttl) = lifetime(*expires_at, *time);
            reply::Reply {
                refresh: Some(reply::RefreshResult {
                    client: client_of(*connection),
                    version: VERSION.to_owned(),
                    expires,
                    ttl,
                }),
                ..nothing()
            }
        }
        Reply::Renewed { granted } => reply::Reply {
            sub_refresh: Some(renewed(granted)),
            ..nothing()
        },
        // Nothing that a client of this protocol can ask for.
        Reply::Pong { .. } => nothing(),
        Reply::Error {
            code,
            message,
            application_code,
            ..
        } => {
            let of_application = |number| error_of_application(number, *code, message);
            return Err(application_code.map_or_else(|| error_of(*code), of_application));
        }
    })
}

fn connected(wrapping: Wrapping, welcome: &Welcome, topics: &[SubscribedTopic]) -> ConnectResult {
    let (expires, ttl) = lifetime(welcome.expires_at, welcome.time);
    let key = welcome.key.as_ref();
    let node = key.and_then(|key| key.node.as_deref());
    let of_application = welcome.data.as_ref();
    let of_application = of_application.and_then(|payload| data(wrapping.encoding, payload));
    ConnectResult {
        client: client_of(welcome.connection),
        version: VERSION.to_owned(),
        expires,
        ttl,
        data: of_application.unwrap_or_default(),
        subs: topics
            .iter()
            .map(|begun| reply::Begun {
                channel: channel(&begun.topic),
                result: subscribed(wrapping.encoding, begun),
            })
            .collect(),
        ping: seconds(welcome.ping_interval_ms),
        pong: welcome.ping_interval_ms > 0 && !wrapping.is_bare,
        session: key
            .map(|key| session_of(welcome.connection, key.secret))
            .unwrap_or_default(),
        node: node.unwrap_or_default().to_owned(),
        time: milliseconds(welcome.time),
    }
}

/// Where a subscription begins. A client that goes on from where it was counts on from there with what it has missed.
fn subscribed(encoding: Encoding, begun: &SubscribedTopic) -> SubscribeResult {
    let (epoch, offset) = place(begun.position, begun.is_recoverable);
    let granted = begun.granted.as_deref();
    let (expires, ttl) = granted.map_or((false, 0), |granted| lifetime(granted.expires_at, granted.time));
    SubscribeResult {
        expires,
        ttl,
        data: given(encoding, begun),
        recoverable: begun.is_recoverable,
        positioned: begun.is_recoverable,
        epoch,
        offset,
        publications: if begun.has_deltas {
            publications_as_deltas(encoding, &begun.publications)
        } else {
            publications(encoding, &begun.publications)
        },
        delta: begun.has_deltas,
        recovered: begun.recovered == Some(Ok(())),
        was_recovering: begun.recovered.is_some(),
    }
}

fn renewed(granted: &Granted) -> reply::Lifetime {
    let (expires, ttl) = lifetime(granted.expires_at, granted.time);
    reply::Lifetime { expires, ttl }
}

/// What the application gives with a subscription; nothing where it has no form.
fn given(encoding: Encoding, begun: &SubscribedTopic) -> Bytes {
    let payload = begun.granted.as_ref().and_then(|granted| granted.data.as_ref());
    payload
        .and_then(|payload| data(encoding, payload))
        .unwrap_or_default()
}

fn place(position: Position, is_told: bool) -> (String, u64) {
    if is_told {
        (position.epoch.to_string(), position.offset)
    } else {
        (String::new(), 0)
    }
}

fn publications(encoding: Encoding, publications: &[Arc<Publication>]) -> Vec<reply::Publication> {
    publications
        .iter()
        .filter_map(|publication| published(encoding, publication))
        .collect()
}

/// The first as it is, the others as what has changed.
fn publications_as_deltas(encoding: Encoding, publications: &[Arc<Publication>]) -> Vec<reply::Publication> {
    let before = publications.iter().map(|before| Some(&before.draft.payload));
    let befores = std::iter::once(None).chain(before);
    publications
        .iter()
        .zip(befores)
        .filter_map(|(publication, before)| published_as_delta(encoding, publication, before))
        .collect()
}

fn history(encoding: Encoding, page: &HistoryPage) -> Result<reply::HistoryResult, reply::Error> {
    if page.recovered == Some(Err(Loss::EpochChanged)) {
        return Err(error_of(ErrorCode::Unrecoverable));
    }
    Ok(reply::HistoryResult {
        publications: publications(encoding, &page.publications),
        epoch: page.end.epoch.to_string(),
        offset: page.end.offset,
    })
}

/// Everybody; there are no pages in this protocol.
fn presence(encoding: Encoding, page: &PresencePage) -> Result<reply::PresenceResult, reply::Error> {
    if page.next.is_some() {
        return Err(error_of(ErrorCode::TooManySubscriptions));
    }
    let members = page.members.iter();
    let presence: BTreeMap<_, _> = members
        .map(|present| (client_of(present.connection), info_of(encoding, present)))
        .collect();
    Ok(reply::PresenceResult { presence })
}

fn presence_stats(attendance: Attendance) -> reply::PresenceStatsResult {
    let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    reply::PresenceStatsResult {
        num_clients: count(attendance.connections),
        // All who have no name are one user.
        num_users: count(attendance.users + u64::from(attendance.anonymous > 0)),
    }
}

/// A publication as it stands in a push, a page of history, or what was missed. None where it has no form.
fn published(encoding: Encoding, publication: &Publication) -> Option<reply::Publication> {
    Some(reply::Publication {
        data: data(encoding, &publication.draft.payload)?,
        ..described(encoding, publication)
    })
}

/// A publication without its payload.
fn described(encoding: Encoding, publication: &Publication) -> reply::Publication {
    let Publication { draft, position } = publication;
    let epoch = || position.epoch.to_string();
    reply::Publication {
        info: draft.from.as_ref().map(|from| publisher(encoding, from)),
        offset: position.offset,
        tags: draft.tags.as_ref().map(tags).unwrap_or_default(),
        time: milliseconds(draft.time),
        epoch: (position.offset == 1).then(epoch).unwrap_or_default(),
        ..reply::Publication::default()
    }
}

/// The same for who has chosen deltas: what has changed where that is shorter. In JSON both are strings.
fn published_as_delta(
    encoding: Encoding,
    publication: &Publication,
    before: Option<&Payload>,
) -> Option<reply::Publication> {
    let whole = source(encoding, &publication.draft.payload)?;
    let before = before.and_then(|before| source(encoding, before));
    let delta = before.and_then(|before| fossil::delta(&before, &whole));
    let is_delta = delta.is_some();
    let data = delta.map_or(whole, Bytes::from);
    let data = match encoding {
        Encoding::Json => as_string(&data)?,
        Encoding::Protobuf => data,
    };
    Some(reply::Publication {
        data,
        delta: is_delta,
        ..described(encoding, publication)
    })
}

/// What deltas of a payload are made of: its bytes, in JSON those of its JSON.
fn source(encoding: Encoding, payload: &Payload) -> Option<Bytes> {
    match (encoding, payload.kind()) {
        (Encoding::Protobuf, _) | (Encoding::Json, PayloadKind::Json) => Some(payload.shared()),
        (Encoding::Json, PayloadKind::Text) => as_string(payload.as_bytes()),
        (Encoding::Json, PayloadKind::Binary) => None,
    }
}

/// Text as a string of JSON.
fn as_string(text: &[u8]) -> Option<Bytes> {
    let text = std::str::from_utf8(text).ok()?;
    serde_json::to_vec(text).ok().map(Bytes::from)
}

fn tags(tags: &Tags) -> BTreeMap<String, String> {
    let tags = tags.iter();
    tags.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn message(encoding: Encoding, payload: &Payload) -> Option<reply::Push> {
    let message = reply::Message {
        data: data(encoding, payload)?,
    };
    Some(reply::Push {
        message: Some(message),
        ..reply::Push::default()
    })
}

/// A payload as it travels. JSON is one line, because a line feed ends a message; text is a string of JSON; bytes have no
/// form in JSON.
fn data(encoding: Encoding, payload: &Payload) -> Option<Bytes> {
    let bytes = payload.shared();
    match (encoding, payload.kind()) {
        (Encoding::Protobuf, _) => Some(bytes),
        (Encoding::Json, PayloadKind::Json) => Some(on_one_line(bytes)),
        (Encoding::Json, PayloadKind::Text) => as_string(&bytes),
        (Encoding::Json, PayloadKind::Binary) => None,
    }
}

/// Between the tokens of JSON line feeds mean nothing, and within strings there are none (RFC 8259 section 7).
fn on_one_line(json: Bytes) -> Bytes {
    let ends_line = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if !json.iter().any(ends_line) {
        return json;
    }
    json.iter().filter(|byte| !ends_line(byte)).copied().collect()
}

fn publisher(encoding: Encoding, from: &Publisher) -> ClientInfo {
    let infos = [from.info.as_deref(), from.topic_info.as_deref()];
    client_info(encoding, from.connection, from.user.as_ref(), infos)
}

fn info_of(encoding: Encoding, present: &Present) -> ClientInfo {
    let infos = [present.info.as_deref(), present.topic_info.as_deref()];
    client_info(encoding, present.connection, present.user.as_ref(), infos)
}

fn of_client(encoding: Encoding, present: &Present) -> reply::OfClient {
    reply::OfClient {
        info: Some(info_of(encoding, present)),
    }
}

/// A connection as others see it everywhere, and in a channel.
fn client_info(
    encoding: Encoding,
    connection: ConnectionId,
    user: Option<&UserName>,
    infos: [Option<&str>; 2],
) -> ClientInfo {
    let [conn_info, chan_info] = infos.map(|info| {
        let info = info.map(|info| Bytes::copy_from_slice(info.as_bytes()));
        match encoding {
            Encoding::Json => on_one_line(info.unwrap_or_default()),
            Encoding::Protobuf => info.unwrap_or_default(),
        }
    });
    ClientInfo {
        user: user.map(ToString::to_string).unwrap_or_default(),
        client: client_of(connection),
        conn_info,
        chan_info,
    }
}

fn channel(topic: &TopicName) -> String {
    Cow::into_owned(channel_of(topic.as_str()))
}

/// Whether and in how many seconds a client must have shown a new token. One that is just over has some time still.
fn lifetime(expires_at: Option<Timestamp>, now: Timestamp) -> (bool, u32) {
    let Some(expires_at) = expires_at else {
        return (false, 0);
    };
    (true, seconds(expires_at.0.saturating_sub(now.0)).max(1))
}

/// A time as it travels.
fn milliseconds(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

/// Whole seconds, rounded up, within what the timers of client libraries take.
fn seconds(ms: u64) -> u32 {
    u32::try_from(ms.div_ceil(1_000)).unwrap_or(u32::MAX).min(TTL_MAX)
}

/// Some timers count milliseconds in 31 bits: 24 days.
const TTL_MAX: u32 = (i32::MAX / 1_000) as u32;
