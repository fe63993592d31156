//! Receiving the body of a call, in bounds, and reading it as a payload or as JSON.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfare::{Limits, Payload};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::answer::{Code, Problem};
use super::query::Query;
use super::scope::Caller;

/// A call that has been received as a whole.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) caller: Caller,
    pub(super) query: Query,
    kind: BodyKind,
    text_or_bytes: Vec<u8>,
    payload_bytes_max: usize,
}

/// What the content type says about a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// `application/json`.
    Json,
    /// `application/octet-stream`.
    Binary,
    /// No content type, or the one that curl sends when it is told none: it says nothing.
    Unsaid,
    /// Anything else.
    Text,
}

impl Call {
    /// Receives a call with the query parameters `known`.
    ///
    /// # Errors
    /// An unknown parameter, a body that is encoded, too large, too slow or broken off.
    pub(super) async fn receive(request: Request, known: &[&str], limits: &Limits) -> Result<Self, Problem> {
        let query = Query::parse(request.uri(), known)?;
        let caller = Caller::of(&request)?;
        refuse_encoded(request.headers())?;
        let kind = BodyKind::of(request.headers());
        let payload_bytes_max = limits.message_bytes_max as usize;
        let body = receive_body(
            request.into_body(),
            payload_bytes_max + ENVELOPE_BYTES,
            "the longest message and its envelope",
        )
        .await?;
        Ok(Self {
            caller,
            query,
            kind,
            text_or_bytes: body,
            payload_bytes_max,
        })
    }

    /// The body as the payload itself; the content type says of which kind.
    ///
    /// # Errors
    /// It is not JSON or text as it should be, or too large.
    pub(super) fn into_payload(self) -> Result<Payload, Problem> {
        let payload = match self.kind {
            BodyKind::Json => Payload::json(parse(&self.text_or_bytes)?),
            BodyKind::Binary => Payload::binary(self.text_or_bytes),
            BodyKind::Unsaid | BodyKind::Text => {
                Payload::text(String::from_utf8(self.text_or_bytes).map_err(|_| {
                    let message =
                        "the body is not UTF-8 text, send bytes as `Content-Type: application/octet-stream`";
                    Problem::new(Code::BadBody, message)
                })?)
            }
        };
        check_size(payload, self.payload_bytes_max)
    }

    /// The body as a JSON object with the fields of `T`.
    ///
    /// # Errors
    /// The content type is another one, the body is not JSON, or its fields are not those.
    pub(super) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Problem> {
        match self.kind {
            BodyKind::Json | BodyKind::Unsaid => parse(&self.text_or_bytes),
            BodyKind::Binary | BodyKind::Text => Err(Problem::new(
                Code::WrongType,
                "the body is not `Content-Type: application/json`; JSON says here what to do",
            )),
        }
    }

    /// Whether the body is a JSON object around the payload, where the address cannot say so: JSON by its content type,
    /// or a body without one that begins like an object.
    pub(super) fn is_envelope(&self) -> bool {
        match self.kind {
            BodyKind::Json => true,
            BodyKind::Unsaid => self.text_or_bytes.trim_ascii_start().starts_with(b"{"),
            BodyKind::Binary | BodyKind::Text => false,
        }
    }

    /// The payload that the fields `data` and `data_base64` of a JSON object carry.
    ///
    /// # Errors
    /// Not exactly one of them is given, it is not base64, or too large.
    pub(super) fn payload_of(
        &self,
        data: Option<&RawValue>,
        base64: Option<&str>,
    ) -> Result<Payload, Problem> {
        let payload = match (data, base64) {
            (Some(data), None) => Payload::json(data),
            (None, Some(text)) => Payload::binary(STANDARD.decode(text).map_err(|error| {
                Problem::new(
                    Code::BadBody,
                    format!("`data_base64` is not padded standard base64: {error}"),
                )
            })?),
            _ => {
                let message =
                    "the payload is given by one of `data` (any JSON) and `data_base64`, give exactly one";
                return Err(Problem::new(Code::BadBody, message));
            }
        };
        check_size(payload, self.payload_bytes_max)
    }
}

impl BodyKind {
    /// What the headers of a call say.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            return Self::Unsaid;
        };
        let value = value.as_bytes();
        let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
        match value[..end].trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"application/x-www-form-urlencoded" => Self::Unsaid,
            b"application/json" => Self::Json,
            b"application/octet-stream" => Self::Binary,
            _ => Self::Text,
        }
    }
}

/// Reads a field of any JSON as its text; `null` is a value too.
///
/// # Errors
/// It is not JSON.
pub(super) fn any_json<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Holds a call to bodies as they are.
///
/// # Errors
/// This one is encoded.
pub(super) fn refuse_encoded(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => Err(Problem::new(
            Code::WrongType,
            "encoded bodies are not read here, send it without `Content-Encoding`",
        )),
        _ => Ok(()),
    }
}

/// Receives a body of at most so many bytes; `bound` says what they are.
///
/// # Errors
/// It is too large, too slow or broken off.
pub(super) async fn receive_body(body: Body, bytes_max: usize, bound: &str) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        let message = format!("the body passes {bytes_max} bytes, which are {bound}");
        Problem::new(Code::TooLarge, message)
    };
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let received = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, bytes_max).collect());
    match received.await {
        Ok(Ok(body)) => Ok(body.to_bytes().into()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(
            Code::BadBody,
            "the body broke off before its end, send it as a whole",
        )),
        Err(_) => Err(Problem::new(
            Code::SlowBody,
            format!(
                "the body was not there after {} seconds, send it faster",
                BODY_TIMEOUT.as_secs()
            ),
        )),
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Problem::new(Code::BadJson, "the body is not UTF-8, which JSON is"))?;
    serde_json::from_str(text).map_err(|error| {
        let code = match error.classify() {
            Category::Data => Code::BadBody,
            Category::Io | Category::Syntax | Category::Eof => Code::BadJson,
        };
        Problem::new(code, error.to_string())
    })
}

/// Holds publications of callers to the bound that those of clients have: outboxes are made for it.
///
/// # Errors
/// The payload passes it.
pub(super) fn check_size(payload: Payload, bytes_max: usize) -> Result<Payload, Problem> {
    let bytes = payload.as_bytes().len();
    if bytes <= bytes_max {
        return Ok(payload);
    }
    Err(Problem::new(
        Code::TooLarge,
        format!("the payload is {bytes} bytes, limit is {bytes_max}"),
    ))
}

/// The longest time from a request's head to the end of its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Room for what stands around a payload in a body.
pub(super) const ENVELOPE_BYTES: usize = 4 << 10;
