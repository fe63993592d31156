//! What clients say beside their streams, each time in a request of its own: `POST /emulation`.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use fanfare_protocol::dialect::centrifuge::{Aside, parse_session};
use fanfare_protocol::websocket::{Opcode, encode_masked_frame};

use super::body::too_large;
use super::centrifuge::is_protobuf;
use super::refusal::{Cause, Refused};
use crate::Fanfare;
use crate::handle::CallError;
use crate::shard::Heard;

impl Fanfare {
    /// Hands what a client says to the shard of its stream, where it waits its turn like any message. Who is told 204 need
    /// not say it again; the replies come in the stream.
    pub(super) async fn take_aside(&self, parts: &Parts, body: Body) -> Result<Response, Refused> {
        if parts.method != Method::POST {
            let reason = format!("method is {}, a client speaks with POST", parts.method);
            return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, reason));
        }
        let bytes_max = self.limits().message_bytes_max as usize;
        let body = self.receive(body, ESCAPED * bytes_max + ENVELOPE_BYTES).await?;
        let Some(Aside {
            node,
            session,
            commands,
        }) = Aside::read(is_protobuf(&parts.headers), &body.bytes)
        else {
            return Err(Refused::bad(
                "the body is not `session`, `node` and `data` in one object, send it as `Content-Type` says",
            ));
        };
        if commands.is_empty() {
            return Err(Refused::bad("`data` is empty, send commands in it"));
        }
        if commands.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        let known = (*node == **self.node())
            .then(|| parse_session(&session))
            .flatten();
        let Some((connection, secret)) = known else {
            return Err(unknown());
        };
        let mut frame = Vec::with_capacity(commands.len() + FRAME_BYTES);
        encode_masked_frame(Opcode::Binary, &commands, [0; 4], &mut frame);
        match self.say_aside(connection, secret, frame).await {
            Ok(Heard::Taken) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                Ok(response)
            }
            Ok(Heard::Unknown) => Err(unknown()),
            Ok(Heard::Full) => {
                let reason = "more is said than is taken in, wait for replies before more is sent";
                Err(Refused::too_many(Cause::Aside, reason, COME_BACK_S))
            }
            Err(CallError::Busy) => {
                let reason = "the server is busy, say it again";
                Err(Refused::unavailable(Cause::Aside, reason, COME_BACK_S))
            }
            Err(_) => Err(unknown()),
        }
    }
}

/// The answer to somebody who speaks for a stream that there is not, or that is another one's: that is not told apart.
fn unknown() -> Refused {
    Refused::aside("there is no such session here, connect again")
}

/// How much longer commands may be as a string of JSON: quotation marks and backslashes are escaped.
const ESCAPED: usize = 2;

/// What a request has around the commands, in bytes.
const ENVELOPE_BYTES: usize = 512;

/// The longest header of a masked frame, in bytes.
const FRAME_BYTES: usize = 14;

/// The time in seconds over which those are spread who say too much.
const COME_BACK_S: u64 = 1;
