//! What comes with a topic that a client is subscribed to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Granted, Payload, PayloadKind};

/// What comes with a topic.
#[derive(Serialize)]
pub(super) struct With<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    #[serde(flatten)]
    data: Option<Data<'a>>,
}

/// What the application gives: JSON verbatim, text as a JSON string, bytes in base64 under their own name.
#[derive(Serialize)]
enum Data<'a> {
    #[serde(rename = "data")]
    Json(&'a RawValue),
    #[serde(rename = "data")]
    Text(&'a str),
    #[serde(rename = "data_base64")]
    Binary(String),
}

impl<'a> With<'a> {
    /// What there is to be said.
    pub(super) fn of(granted: &'a Granted) -> Self {
        Self {
            expires_at: granted.expires_at.map(|at| at.0),
            data: granted.data.as_ref().map(Data::of),
        }
    }
}

impl<'a> Data<'a> {
    fn of(payload: &'a Payload) -> Self {
        let bytes = payload.as_bytes();
        let binary = || Self::Binary(STANDARD.encode(bytes));
        match (payload.kind(), std::str::from_utf8(bytes)) {
            (PayloadKind::Json, Ok(json)) => serde_json::from_str(json).map_or_else(|_| binary(), Self::Json),
            (PayloadKind::Text, Ok(text)) => Self::Text(text),
            _ => binary(),
        }
    }
}
