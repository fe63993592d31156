//! What a Centrifuge client is told, in both encodings: the messages of `client.proto` that go from the server to the
//! client. Fields that are zero or empty are left out, in JSON as in Protobuf.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::raw_json;

/// An answer with the id of its command, or a push without one; a ping where nothing is set.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct Reply {
    #[prost(uint32, tag = "1")]
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) id: u32,
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Error>,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) push: Option<Push>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connect: Option<ConnectResult>,
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subscribe: Option<SubscribeResult>,
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unsubscribe: Option<Nothing>,
    #[prost(message, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) publish: Option<Nothing>,
    #[prost(message, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) presence: Option<PresenceResult>,
    #[prost(message, optional, tag = "10")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) presence_stats: Option<PresenceStatsResult>,
    #[prost(message, optional, tag = "11")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) history: Option<HistoryResult>,
    #[prost(message, optional, tag = "13")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rpc: Option<RpcResult>,
    #[prost(message, optional, tag = "14")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refresh: Option<RefreshResult>,
    #[prost(message, optional, tag = "15")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sub_refresh: Option<Lifetime>,
}

/// Why a command is refused.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct Error {
    #[prost(uint32, tag = "1")]
    pub(crate) code: u32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(bool, tag = "3")]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) temporary: bool,
}

/// Something that nobody asked for. Clients that only receive get it as it is, the others in a [`Reply`].
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct Push {
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) channel: String,
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) r#pub: Option<Publication>,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) join: Option<OfClient>,
    #[prost(message, optional, tag = "6")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) leave: Option<OfClient>,
    #[prost(message, optional, tag = "7")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unsubscribe: Option<Unsubscribe>,
    #[prost(message, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<Message>,
    #[prost(message, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subscribe: Option<Subscribe>,
    #[prost(message, optional, tag = "10")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connect: Option<ConnectResult>,
    #[prost(message, optional, tag = "11")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disconnect: Option<Disconnect>,
    #[prost(message, optional, tag = "12")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refresh: Option<Lifetime>,
}

/// What was published.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct Publication {
    #[prost(bytes = "bytes", tag = "4")]
    #[serde(with = "raw_json", skip_serializing_if = "Bytes::is_empty")]
    pub(crate) data: Bytes,
    #[prost(message, optional, tag = "5")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) info: Option<ClientInfo>,
    /// Its place; 0 where the channel keeps none.
    #[prost(uint64, tag = "6")]
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) offset: u64,
    #[prost(btree_map = "string, string", tag = "7")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    /// Whether the data is a delta against the publication before.
    #[prost(bool, tag = "8")]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) delta: bool,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "9")]
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) time: i64,
    /// Of the first publication of a channel, so that who subscribed before it learns it.
    #[prost(string, tag = "14")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) epoch: String,
}

/// A connection as others see it.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct ClientInfo {
    /// Empty for an anonymous one.
    #[prost(string, tag = "1")]
    pub(crate) user: String,
    #[prost(string, tag = "2")]
    pub(crate) client: String,
    #[prost(bytes = "bytes", tag = "3")]
    #[serde(with = "raw_json", skip_serializing_if = "Bytes::is_empty")]
    pub(crate) conn_info: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    #[serde(with = "raw_json", skip_serializing_if = "Bytes::is_empty")]
    pub(crate) chan_info: Bytes,
}

/// Who came or went.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct OfClient {
    #[prost(message, optional, tag = "1")]
    pub(crate) info: Option<ClientInfo>,
}

/// The server ends a subscription.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct Unsubscribe {
    #[prost(uint32, tag = "2")]
    pub(crate) code: u32,
    #[prost(string, tag = "3")]
    pub(crate) reason: String,
}

/// What was sent to this connection alone.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct Message {
    #[prost(bytes = "bytes", tag = "1")]
    #[serde(with = "raw_json", skip_serializing_if = "Bytes::is_empty")]
    pub(crate) data: Bytes,
}

/// The server begins a subscription.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct Subscribe {
    #[prost(bool, tag = "1")]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) recoverable: bool,
    #[prost(string, tag = "4")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) epoch: String,
    #[prost(uint64, tag = "5")]
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) offset: u64,
    #[prost(bool, tag = "6")]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) positioned: bool,
    #[prost(bytes = "bytes", tag = "7")]
    #[serde(with = "raw_json", skip_serializing_if = "Bytes::is_empty")]
    pub(crate) data: Bytes,
}

/// Who the client is here.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct ConnectResult {
    #[prost(string, tag = "1")]
    pub(crate) client: String,
    #[prost(string, tag = "2")]
    pub(crate) version: String,
    /// Whether the client has to renew its token, and within how many seconds.
    #[prost(bool, tag = "3")]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) expires: bool,
    #[prost(uint32, tag = "4")]
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) ttl: u32,
    #[prost(bytes = "bytes", tag = "5")]
    #[serde(with = "raw_json", skip_serializing_if = "Bytes::is_empty")]
    pub(crate) data: Bytes,
    #[prost(message, repeated, tag = "6")]
    #[serde(serialize_with = "as_map", skip_serializing_if = "Vec::is_empty")]
    pub(crate) subs: Vec<Begun>,
    /// Seconds between pings.
    #[prost(uint32, tag = "7")]
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) ping: u32,
    #[prost(bool, tag = "8")]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) pong: bool,
    #[prost(string, tag = "9")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) session: String,
    #[prost(string, tag = "10")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) node: String,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "11")]
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) time: i64,
}

/// A channel that the server subscribes a client to: an entry of a map. Client libraries expect that the value is there, be it
/// empty, and the map of our encoder leaves an empty one out.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Begun {
    #[prost(string, tag = "1")]
    pub(crate) channel: String,
    #[prost(message, required, tag = "2")]
    pub(crate) result: SubscribeResult,
}

fn as_map<S: Serializer>(subs: &[Begun], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(subs.iter().map(|begun| (&begun.channel, &begun.result)))
}

/// From where on a client receives a channel, and what it missed.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct SubscribeResult {
    #[prost(bool, tag = "1")]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) expires: bool,
    #[prost(uint32, tag = "2")]
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) ttl: u32,
    #[prost(bool, tag = "3")]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) recoverable: bool,
    #[prost(string, tag = "6")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) epoch: String,
    #[prost(message, repeated, tag = "7")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) publications: Vec<Publication>,
    #[prost(bool, tag = "8")]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) recovered: bool,
    #[prost(uint64, tag = "9")]
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) offset: u64,
    #[prost(bool, tag = "10")]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) positioned: bool,
    #[prost(bytes = "bytes", tag = "11")]
    #[serde(with = "raw_json", skip_serializing_if = "Bytes::is_empty")]
    pub(crate) data: Bytes,
    #[prost(bool, tag = "12")]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) was_recovering: bool,
    #[prost(bool, tag = "13")]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) delta: bool,
}

/// A result without fields.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct Nothing {}

/// Who is in a channel, by the id of the connection.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct PresenceResult {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(crate) presence: BTreeMap<String, ClientInfo>,
}

/// How many are in a channel.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct PresenceStatsResult {
    #[prost(uint32, tag = "1")]
    pub(crate) num_clients: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) num_users: u32,
}

/// What was published to a channel, and where it stands.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct HistoryResult {
    #[prost(message, repeated, tag = "1")]
    pub(crate) publications: Vec<Publication>,
    #[prost(string, tag = "2")]
    pub(crate) epoch: String,
    #[prost(uint64, tag = "3")]
    pub(crate) offset: u64,
}

/// What the application's procedure gave.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct RpcResult {
    #[prost(bytes = "bytes", tag = "1")]
    #[serde(with = "raw_json", skip_serializing_if = "Bytes::is_empty")]
    pub(crate) data: Bytes,
}

/// Who the client is from now on, and for how long.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct RefreshResult {
    #[prost(string, tag = "1")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) client: String,
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) version: String,
    #[prost(bool, tag = "3")]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) expires: bool,
    #[prost(uint32, tag = "4")]
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) ttl: u32,
}

/// How long the client may stay, or have a channel, from now on.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct Lifetime {
    #[prost(bool, tag = "1")]
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) expires: bool,
    #[prost(uint32, tag = "2")]
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) ttl: u32,
}

/// The server ends the connection.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
pub(crate) struct Disconnect {
    #[prost(uint32, tag = "1")]
    pub(crate) code: u32,
    #[prost(string, tag = "2")]
    pub(crate) reason: String,
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_false(is_so: &bool) -> bool {
    !is_so
}
