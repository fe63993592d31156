//! `centrifuge`: the client protocol, version 2, of Centrifuge and Centrifugo, in JSON and in Protobuf. See
//! `docs/centrifuge.md`.

mod codes;
pub mod fossil;
mod framing;
mod names;
mod raw_json;
mod reply;
mod request;

pub use names::{channel_of, client_of, connection_of, topic_of};
