//! What clients hear, in few words, so that a story reads at a glance.

use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::websocket::Item;
use serde_json::Value;

/// A frame in the words of the stories: `a/7 "hello"` is the message of topic `a` at offset 7.
pub(crate) fn words(dialect: Dialect, item: &Item<'_>) -> String {
    match item {
        Item::Text(text) if dialect == Dialect::Json => of_json(&serde_json::from_str(text).unwrap()),
        Item::Text(text) => format!("text {text}"),
        Item::Binary(bytes) => format!("binary {bytes:?}"),
        Item::Ping(_) => "ping".to_owned(),
        Item::Pong(payload) => format!("pong {}", String::from_utf8_lossy(payload)),
        Item::Close(Some(close)) => format!("close {}", close.code),
        Item::Close(None) => "close".to_owned(),
    }
}

/// What a client hears of a stream: the words of its events, each with its id as far as that is new, as `<id>`.
pub(crate) fn of_stream(bytes: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(
        text.is_empty() || text.ends_with("\n\n"),
        "an event has its end: {text:?}"
    );
    text.split_terminator("\n\n").map(of_event).collect()
}

fn of_event(event: &str) -> String {
    let (mut words, mut id) = (String::new(), String::new());
    for line in event.lines() {
        match line.split_once(':').unwrap() {
            ("data", data) => words = of_json(&serde_json::from_str(data).unwrap()),
            ("id", value) => id = format!(" <{}>", value.trim_start()),
            ("", "") => words.push_str("comment"),
            ("event" | "retry", _) => {}
            (field, _) => panic!("{field}"),
        }
    }
    words + &id
}

fn of_json(json: &Value) -> String {
    let kind = json["type"].as_str().unwrap();
    let id = json.get("id").map_or(String::new(), |id| format!(" #{id}"));
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    match kind {
        "message" if json.get("topic").is_none() => format!("direct {}", json["data"]),
        "message" => format!("{}/{} {}", text("topic"), json["offset"], json["data"]),
        "subscribed" => format!("subscribed{id} {}", joined(&json["topics"])),
        "unsubscribed" => {
            let reason = json["reason"].as_str().map(|reason| format!(" ({reason})"));
            let topics = joined(&json["topics"]);
            format!("unsubscribed{id} {topics}{}", reason.unwrap_or_default())
        }
        "published" if json["repeated"] == true => {
            format!("repeated{id} {}/{}", text("topic"), json["offset"])
        }
        "published" => format!("published{id} {}/{}", text("topic"), json["offset"]),
        "history" => format!(
            "history{id} {}@{}{}: {}{}",
            text("topic"),
            json["offset"],
            recovery(json),
            offsets(&json["messages"]),
            next(json)
        ),
        "presence" => format!(
            "presence{id} {} {}/{}: {}{}",
            text("topic"),
            json["connections"],
            json["users"],
            members(&json["members"]),
            if json.get("next").is_some() { ", more" } else { "" }
        ),
        "attendance" => attendance(json),
        "sent" => format!("sent{id}"),
        "result" => format!("result{id} {}", json["data"]),
        "authenticated" => format!("authenticated{id}"),
        "pong" => format!("pong{id}"),
        "error" if json.get("offset").is_some() => {
            format!("error{id} {} at {}", text("code"), json["offset"])
        }
        "error" => match json.get("retry_after_ms") {
            Some(after) => format!("error{id} {} after {after}", text("code")),
            None => format!("error{id} {}", text("code")),
        },
        "occupancy" => format!("{} has {}", text("topic"), json["subscribers"]),
        "missed" => format!(
            "missed {} of {}/{}-{}",
            json["count"],
            text("topic"),
            json["from"],
            json["to"]
        ),
        "goodbye" => match json.get("reconnect_after_ms") {
            Some(after) => format!("goodbye {} after {after}", json["code"]),
            None => format!("goodbye {}", json["code"]),
        },
        other => other.to_owned(),
    }
}

/// Users, or `?` for those who have none.
fn members(members: &Value) -> String {
    let name = |member: &Value| member["user"].as_str().unwrap_or("?").to_owned();
    let all: Vec<_> = members.as_array().unwrap().iter().map(name).collect();
    all.join(" ")
}

fn attendance(json: &Value) -> String {
    let head = format!(
        "{} {}/{}",
        json["topic"].as_str().unwrap(),
        json["connections"],
        json["users"]
    );
    match json.get("complete") {
        Some(Value::Bool(true)) => format!("{head} all: {}", members(&json["members"])),
        Some(_) => format!("{head} some: {}", members(&json["members"])),
        None => format!("{head} +{} -{}", members(&json["came"]), members(&json["went"])),
    }
}

/// Whether somebody goes on from where it was: ` back`, or why not.
fn recovery(json: &Value) -> String {
    match (json["recovered"].as_bool(), json["reason"].as_str()) {
        (None, None) => String::new(),
        (Some(true), None) => " back".to_owned(),
        (Some(false), Some(reason)) => format!(" {reason}"),
        _ => format!(" {json}"),
    }
}

fn offsets(messages: &Value) -> String {
    let all: Vec<_> = messages
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["offset"].to_string())
        .collect();
    all.join(" ")
}

fn next(json: &Value) -> String {
    let Some(next) = json.get("next").and_then(Value::as_object) else {
        return String::new();
    };
    let words = next
        .iter()
        .map(|(field, place)| format!(", {field} {}", place["offset"]));
    words.collect()
}

fn joined(topics: &Value) -> String {
    let words = |topic: &Value| match topic.as_str() {
        Some(name) => name.to_owned(),
        None => format!(
            "{}@{}{}",
            topic["topic"].as_str().unwrap(),
            topic["offset"],
            recovery(topic)
        ),
    };
    let all: Vec<_> = topics.as_array().unwrap().iter().map(words).collect();
    all.join(" ")
}
