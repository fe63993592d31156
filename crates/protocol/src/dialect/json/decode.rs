//! Commands, as clients write them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::codes::ErrorCode;
use crate::{
    Command, CommandId, Every, HISTORY_PAGE_MAX, IdempotencyKey, Key, PRESENCE_PAGE_MAX, Payload, Position,
    PublishOptions, Reading, Rejection, Since, TAGS_MAX, TOPIC_BYTES_MAX, Tags, Target, UserName, Verb,
    Wanted,
};

/// Reads one command.
pub(in crate::dialect) fn decode(text: &str) -> Result<Command<'_>, Rejection> {
    // Without this, serde would also take an array for the fields in their order.
    if !text.trim_start().starts_with('{') {
        let message = "message is not a JSON object, send one with a `type`";
        return Err(Rejection::new(None, ErrorCode::BadJson, message));
    }
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| unreadable(text, &error))?;
    let id = match fields.id {
        Some(id) => {
            Some(CommandId::from_json(id.get()).map_err(|e| Rejection::new(None, ErrorCode::BadCommand, e))?)
        }
        None => None,
    };
    match fields.verb() {
        Ok(verb) => Ok(Command { id, verb }),
        Err(message) => Err(Rejection::new(id, ErrorCode::BadCommand, message)),
    }
}

/// Every field that any command has. Unknown ones are ignored, so that newer clients can talk to older servers.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    topic: Option<Text<'a>>,
    #[serde(borrow)]
    topics: Option<Vec<Entry<'a>>>,
    since: Option<Place>,
    before: Option<Place>,
    last: Option<u64>,
    limit: Option<u64>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    echo: Option<bool>,
    occupancy: Option<bool>,
    presence: Option<bool>,
    #[serde(borrow)]
    after: Option<Text<'a>>,
    #[serde(borrow)]
    every: Option<Text<'a>>,
    #[serde(borrow)]
    key: Option<Text<'a>>,
    #[serde(borrow)]
    tags: Option<TagList<'a>>,
    #[serde(borrow)]
    idempotency_key: Option<Text<'a>>,
    expected: Option<Place>,
    #[serde(borrow)]
    connection: Option<Text<'a>>,
    #[serde(borrow)]
    user: Option<Text<'a>>,
    #[serde(borrow)]
    token: Option<Text<'a>>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
}

/// A string that borrows from the input unless it has escapes. (`Option<Cow<str>>` alone would always copy.)
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads a field that is there, `null` included: `"data": null` publishes null, a missing `data` is an error.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Fields<'a> {
    /// The verb that the fields spell, or what is wrong with them.
    fn verb(self) -> Result<Verb<'a>, String> {
        let Some(Text(kind)) = &self.kind else {
            return Err(format!("`type` is missing, it is one of {VERBS}"));
        };
        match &**kind {
            "subscribe" => self.subscribe(),
            "unsubscribe" => Ok(Verb::Unsubscribe {
                topics: self.topics()?.into_iter().map(|wanted| wanted.topic).collect(),
            }),
            "publish" => self.publish(),
            "history" => self.history(),
            "presence" => self.presence(),
            "send" => self.send(),
            "call" => self.call(),
            "auth" => match self.token {
                Some(Text(token)) => Ok(Verb::Authenticate { token }),
                None => Err("`token` is missing".to_owned()),
            },
            "ping" => Ok(Verb::Ping),
            other => Err(format!("`type` is {}, it is one of {VERBS}", quoted(other))),
        }
    }

    fn subscribe(mut self) -> Result<Verb<'a>, String> {
        let occupancy = self.occupancy.unwrap_or(false);
        let presence = self.presence.unwrap_or(false);
        let every = self.every.as_ref().map(|Text(every)| every.parse::<Every>());
        let every = every.transpose().map_err(|error| error.to_string())?;
        let token = self.token.take().map(|Text(token)| token);
        Ok(Verb::Subscribe {
            topics: self.topics()?,
            occupancy,
            every,
            presence,
            deltas: false,
            filter: None,
            insists: false,
            token,
        })
    }

    /// The topics, each with the place that is given for it or for all of them.
    fn topics(self) -> Result<Vec<Wanted<'a>>, String> {
        let since = since(self.since, self.last)?;
        match (self.topic, self.topics) {
            (Some(Text(topic)), None) => Ok(vec![Wanted { topic, since }]),
            (None, Some(topics)) if topics.is_empty() => {
                Err("`topics` is empty, name at least one".to_owned())
            }
            (None, Some(topics)) => topics
                .into_iter()
                .map(|entry| {
                    let own = self::since(entry.since, entry.last)?;
                    Ok(Wanted {
                        topic: entry.topic,
                        since: own.or(since),
                    })
                })
                .collect(),
            (Some(_), Some(_)) => Err("both `topic` and `topics` are given, give one".to_owned()),
            (None, None) => Err("`topic` or `topics` is missing".to_owned()),
        }
    }

    fn history(self) -> Result<Verb<'a>, String> {
        let since = since(self.since, self.last)?;
        let reading = match (since, self.before) {
            (None, None) => Reading::Oldest,
            (Some(since), None) => Reading::Since(since),
            (None, Some(Place::Since(Since::Position(position)))) => Reading::Before(position),
            (None, Some(Place::End)) => Reading::Newest,
            (None, Some(_)) => return Err("`before` is not a position".to_owned()),
            (Some(_), Some(_)) => return Err("`before` is given with `since` or `last`, give one".to_owned()),
        };
        let Some(Text(topic)) = self.topic else {
            return Err("`topic` is missing".to_owned());
        };
        let limit = self
            .limit
            .unwrap_or(HISTORY_LIMIT)
            .clamp(1, u64::from(HISTORY_PAGE_MAX));
        Ok(Verb::History {
            topic,
            reading,
            limit: limit as u32,
        })
    }

    fn presence(self) -> Result<Verb<'a>, String> {
        let Some(Text(topic)) = self.topic else {
            return Err("`topic` is missing".to_owned());
        };
        let after = self.after.map(|Text(after)| after.parse());
        let after = after
            .transpose()
            .map_err(|error| format!("`after` is no connection: {error}"))?;
        let limit = self
            .limit
            .unwrap_or(PRESENCE_LIMIT)
            .clamp(1, u64::from(PRESENCE_PAGE_MAX));
        Ok(Verb::Presence {
            topic,
            after,
            limit: limit as u32,
        })
    }

    fn publish(self) -> Result<Verb<'a>, String> {
        let payload = self.payload()?;
        let options = self.publish_options()?;
        let Some(Text(topic)) = self.topic else {
            return Err("`topic` is missing".to_owned());
        };
        Ok(Verb::Publish {
            topic,
            payload,
            options,
            echo: self.echo.unwrap_or(true),
        })
    }

    fn publish_options(&self) -> Result<PublishOptions, String> {
        let key = self.key.as_ref().map(|Text(key)| Key::parse(key));
        let idempotency_key = self.idempotency_key.as_ref();
        let idempotency_key = idempotency_key.map(|Text(key)| IdempotencyKey::parse(key));
        let expected = match self.expected {
            None => None,
            Some(Place::Since(Since::Position(position))) => Some(position),
            Some(_) => return Err("`expected` is not a position".to_owned()),
        };
        Ok(PublishOptions {
            key: key.transpose().map_err(|error| error.to_string())?,
            idempotency_key: idempotency_key
                .transpose()
                .map_err(|error| format!("`idempotency_key`: {error}"))?,
            expected,
            tags: self.tags()?,
        })
    }

    fn tags(&self) -> Result<Option<Tags>, String> {
        let tags = self.tags.iter().flat_map(|TagList(tags)| tags);
        let tags = Tags::parse(tags.map(|(Text(name), Text(value))| (name, value)));
        tags.map_err(|error| format!("`tags`: {error}"))
    }

    fn send(self) -> Result<Verb<'a>, String> {
        let payload = self.payload()?;
        let to = match (self.connection, self.user) {
            (Some(Text(id)), None) => Target::Connection(id.parse().map_err(|e| format!("{e}"))?),
            (None, Some(Text(name))) => Target::User(UserName::parse(&name).map_err(|e| e.to_string())?),
            _ => return Err("`send` needs either `connection` or `user`".to_owned()),
        };
        Ok(Verb::Send { to, payload })
    }

    fn call(self) -> Result<Verb<'a>, String> {
        let payload = self.data.map_or_else(Payload::null, Payload::json);
        match self.method {
            Some(Text(method)) if (1..=METHOD_BYTES_MAX).contains(&method.len()) => {
                Ok(Verb::Call { method, payload })
            }
            Some(Text(method)) => Err(format!(
                "`method` is {} bytes, it has 1 to {METHOD_BYTES_MAX}",
                method.len()
            )),
            None => Err("`method` is missing".to_owned()),
        }
    }

    fn payload(&self) -> Result<Payload, String> {
        self.data
            .map(Payload::json)
            .ok_or_else(|| "`data` is missing, it is any JSON value".to_owned())
    }
}

/// What `since` and `last` say together.
fn since(since: Option<Place>, last: Option<u64>) -> Result<Option<Since>, String> {
    match (since, last) {
        (Some(_), Some(_)) => Err("both `since` and `last` are given, give one".to_owned()),
        (Some(Place::Since(since)), None) => Ok(Some(since)),
        (Some(Place::End), None) => Err("nothing follows the end, leave `since` away".to_owned()),
        (None, Some(last)) => Ok(Some(Since::Last(last.min(u64::from(u32::MAX)) as u32))),
        (None, None) => Ok(None),
    }
}

/// One of `topics`: a name, or an object that says also from where on.
struct Entry<'a> {
    topic: Cow<'a, str>,
    since: Option<Place>,
    last: Option<u64>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Entry<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a topic, or an object with `topic` and `since` or `last`")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Entry<'de>, E> {
        Ok(Entry::of(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Entry<'de>, E> {
        Ok(Entry::of(Cow::Owned(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry<'de>, A::Error> {
        let (mut topic, mut since, mut last) = (None, None, None);
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "topic" => topic = map.next_value::<Option<Text<'de>>>()?,
                "since" => since = map.next_value()?,
                "last" => last = map.next_value()?,
                _ => drop(map.next_value::<serde::de::IgnoredAny>()?),
            }
        }
        let Some(Text(topic)) = topic else {
            return Err(A::Error::missing_field("topic"));
        };
        Ok(Entry { topic, since, last })
    }
}

impl<'a> Entry<'a> {
    fn of(topic: Cow<'a, str>) -> Self {
        Self {
            topic,
            since: None,
            last: None,
        }
    }
}

/// An object of texts. A name may be there twice, which is refused later.
struct TagList<'a>(Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for TagList<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TagVisitor)
    }
}

struct TagVisitor;

impl<'de> Visitor<'de> for TagVisitor {
    type Value = TagList<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tags such as {\"kind\":\"goal\"}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TagList<'de>, A::Error> {
        let mut tags = Vec::new();
        while let Some(tag) = map.next_entry()? {
            // One more than there may be is enough to be refused.
            if tags.len() <= TAGS_MAX {
                tags.push(tag);
            }
        }
        Ok(TagList(tags))
    }
}

/// A place or an age: a text, or an object with `epoch` and `offset` as replies have them.
#[derive(Clone, Copy)]
enum Place {
    Since(Since),
    /// Where the topic stands, whatever that is.
    End,
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlaceVisitor)
    }
}

struct PlaceVisitor;

impl<'de> Visitor<'de> for PlaceVisitor {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a position such as {\"epoch\":\"k2w9\",\"offset\":17}, or an age such as \"5m\"")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Place, E> {
        if text == END {
            return Ok(Place::End);
        }
        text.parse().map(Place::Since).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Place, A::Error> {
        let (mut epoch, mut offset) = (None, None);
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "epoch" => epoch = map.next_value::<Option<Text<'de>>>()?,
                "offset" => offset = map.next_value::<Option<u64>>()?,
                _ => drop(map.next_value::<serde::de::IgnoredAny>()?),
            }
        }
        let Text(epoch) = epoch.ok_or_else(|| A::Error::missing_field("epoch"))?;
        let offset = offset.ok_or_else(|| A::Error::missing_field("offset"))?;
        let position = Position::from_parts(&epoch, offset).map_err(A::Error::custom)?;
        Ok(Place::Since(Since::Position(position)))
    }
}

/// What stands for the place where a topic stands.
const END: &str = "end";

pub(super) const VERBS: &str =
    "`auth`, `subscribe`, `unsubscribe`, `publish`, `history`, `presence`, `send`, `call`, `ping`";

/// How many members `presence` gives when it is not said.
const PRESENCE_LIMIT: u64 = 100;

/// How many publications `history` gives when it is not said.
const HISTORY_LIMIT: u64 = 100;

/// The longest name of a procedure, in bytes.
const METHOD_BYTES_MAX: usize = 128;

/// What to say about a message that is not a command, with its `id` where that much can be read.
fn unreadable(text: &str, error: &serde_json::Error) -> Rejection {
    #[derive(Deserialize)]
    struct OnlyId<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    let id = serde_json::from_str::<OnlyId<'_>>(text)
        .ok()
        .and_then(|only| CommandId::from_json(only.id.get()).ok());
    let code = if error.is_data() {
        ErrorCode::BadCommand
    } else {
        ErrorCode::BadJson
    };
    // It may repeat a whole value of the message, and a refusal must stay short however long that is.
    let error = error.to_string();
    Rejection::new(id, code, format!("message is not a command: {}", cut(&error)))
}

/// At most the length of a topic name of what a client wrote, in quotes.
fn quoted(text: &str) -> String {
    format!("{:?}", cut(text))
}

fn cut(text: &str) -> &str {
    let mut places = text.char_indices().map(|(at, _)| at);
    let end = places.find(|&at| at > TOPIC_BYTES_MAX);
    end.map_or(text, |end| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(tags: &str) -> Result<Option<Tags>, String> {
        let text = format!(r#"{{"type":"publish","topic":"a","data":1,"tags":{tags}}}"#);
        match decode(&text) {
            Ok(Command {
                verb: Verb::Publish { options, .. },
                ..
            }) => Ok(options.tags),
            Ok(other) => panic!("{other:?}"),
            Err(rejection) => Err(rejection.message),
        }
    }

    #[test]
    fn tags_are_read_and_those_that_break_a_rule_are_refused() {
        let tags = Tags::parse([("a", "1"), ("b", "2")]).unwrap();
        assert_eq!(publish(r#"{"b":"2","a":"\u0031"}"#), Ok(tags));
        for none in ["null", "{}"] {
            assert_eq!(publish(none), Ok(None));
        }
        let many: Vec<String> = (0..10_000).map(|number| format!(r#""{number}":"""#)).collect();
        let many = format!("{{{}}}", many.join(","));
        for (tags, expected) in [
            (r#"{"a":"1","a":"2"}"#, "tag \"a\" is given twice"),
            (r#"{"":"1"}"#, "a tag has no name"),
            (&many, "there are more than 16 tags"),
            (r#"{"a":1}"#, "invalid type: integer"),
            (r#"["a"]"#, "expected tags such as"),
        ] {
            let refused = publish(tags).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
