//! What a Centrifuge client says, in both encodings: the messages of `client.proto`, package
//! `centrifugal.centrifuge.protocol`, that go from the client to the server.
//!
//! One definition serves both. In JSON the fields have the names that they have here, unknown ones are passed over, and what
//! is `bytes` in Protobuf stands there as JSON, which is kept as the text it was.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;

use super::raw_json;

/// One command: an id and one request. The id is 0 where no reply is wanted.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct Command {
    #[prost(uint32, tag = "1")]
    pub(crate) id: u32,
    #[prost(message, optional, tag = "4")]
    pub(crate) connect: Option<Connect>,
    #[prost(message, optional, tag = "5")]
    pub(crate) subscribe: Option<Subscribe>,
    #[prost(message, optional, tag = "6")]
    pub(crate) unsubscribe: Option<OfChannel>,
    #[prost(message, optional, tag = "7")]
    pub(crate) publish: Option<Publish>,
    #[prost(message, optional, tag = "8")]
    pub(crate) presence: Option<OfChannel>,
    #[prost(message, optional, tag = "9")]
    pub(crate) presence_stats: Option<OfChannel>,
    #[prost(message, optional, tag = "10")]
    pub(crate) history: Option<History>,
    #[prost(message, optional, tag = "11")]
    pub(crate) ping: Option<Nothing>,
    #[prost(message, optional, tag = "12")]
    pub(crate) send: Option<Send>,
    #[prost(message, optional, tag = "13")]
    pub(crate) rpc: Option<Rpc>,
    #[prost(message, optional, tag = "14")]
    pub(crate) refresh: Option<Refresh>,
    #[prost(message, optional, tag = "15")]
    pub(crate) sub_refresh: Option<SubRefresh>,
}

/// Who connects, and where it stands in what the server subscribes it to.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct Connect {
    #[prost(string, tag = "1")]
    pub(crate) token: String,
    #[prost(bytes = "bytes", tag = "2")]
    #[serde(with = "raw_json")]
    pub(crate) data: Bytes,
    #[prost(map = "string, message", tag = "3")]
    pub(crate) subs: HashMap<String, Subscribe>,
    #[prost(string, tag = "4")]
    pub(crate) name: String,
    #[prost(string, tag = "5")]
    pub(crate) version: String,
    #[prost(map = "string, string", tag = "6")]
    pub(crate) headers: HashMap<String, String>,
    #[prost(int64, tag = "7")]
    pub(crate) flag: i64,
}

/// Which channel to receive, from where on and how.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct Subscribe {
    #[prost(string, tag = "1")]
    pub(crate) channel: String,
    #[prost(string, tag = "2")]
    pub(crate) token: String,
    #[prost(bool, tag = "3")]
    pub(crate) recover: bool,
    #[prost(string, tag = "6")]
    pub(crate) epoch: String,
    #[prost(uint64, tag = "7")]
    pub(crate) offset: u64,
    #[prost(bytes = "bytes", tag = "8")]
    #[serde(with = "raw_json")]
    pub(crate) data: Bytes,
    #[prost(bool, tag = "9")]
    pub(crate) positioned: bool,
    #[prost(bool, tag = "10")]
    pub(crate) recoverable: bool,
    #[prost(bool, tag = "11")]
    pub(crate) join_leave: bool,
    #[prost(string, tag = "12")]
    pub(crate) delta: String,
    #[prost(message, optional, tag = "13")]
    pub(crate) tf: Option<FilterNode>,
    #[prost(int64, tag = "14")]
    pub(crate) flag: i64,
    /// 0 a stream; others are maps and shared polls.
    #[prost(int32, tag = "15")]
    pub(crate) r#type: i32,
}

/// A filter on the tags of publications, or part of one.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct FilterNode {
    /// `and`, `or`, `not`; empty where it compares.
    #[prost(string, tag = "1")]
    pub(crate) op: String,
    #[prost(string, tag = "2")]
    pub(crate) key: String,
    #[prost(string, tag = "3")]
    pub(crate) cmp: String,
    #[prost(string, tag = "4")]
    pub(crate) val: String,
    #[prost(string, repeated, tag = "5")]
    pub(crate) vals: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) nodes: Vec<FilterNode>,
}

/// A request about one channel of which nothing more is said.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct OfChannel {
    #[prost(string, tag = "1")]
    pub(crate) channel: String,
}

/// What to publish.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct Publish {
    #[prost(string, tag = "1")]
    pub(crate) channel: String,
    #[prost(bytes = "bytes", tag = "2")]
    #[serde(with = "raw_json")]
    pub(crate) data: Bytes,
    /// 0 to a stream, 1 to a map.
    #[prost(int32, tag = "3")]
    pub(crate) r#type: i32,
}

/// What to read of a channel's history.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct History {
    #[prost(string, tag = "1")]
    pub(crate) channel: String,
    #[prost(int32, tag = "7")]
    pub(crate) limit: i32,
    #[prost(message, optional, tag = "8")]
    pub(crate) since: Option<StreamPosition>,
    #[prost(bool, tag = "9")]
    pub(crate) reverse: bool,
}

/// A place in a channel.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct StreamPosition {
    #[prost(uint64, tag = "1")]
    pub(crate) offset: u64,
    #[prost(string, tag = "2")]
    pub(crate) epoch: String,
}

/// A request without fields.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct Nothing {}

/// Something for the application that wants no answer.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct Send {
    #[prost(bytes = "bytes", tag = "1")]
    #[serde(with = "raw_json")]
    pub(crate) data: Bytes,
}

/// A call of the application's procedure.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct Rpc {
    #[prost(bytes = "bytes", tag = "1")]
    #[serde(with = "raw_json")]
    pub(crate) data: Bytes,
    #[prost(string, tag = "2")]
    pub(crate) method: String,
}

/// A new token of the connection.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct Refresh {
    #[prost(string, tag = "1")]
    pub(crate) token: String,
}

/// A new token of a subscription.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub(crate) struct SubRefresh {
    #[prost(string, tag = "1")]
    pub(crate) channel: String,
    #[prost(string, tag = "2")]
    pub(crate) token: String,
    /// 0 a token; others are shared polls.
    #[prost(int32, tag = "3")]
    pub(crate) r#type: i32,
}
