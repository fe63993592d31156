//! Receiving the body of a request, in bounds of size and time, and of what all of them hold together.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::gate::Gate;
use super::refusal::{Cause, Refused};
use crate::Fanfare;

/// What came of a body, counted as long as it is held.
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    gate: Arc<Gate>,
}

impl Fanfare {
    /// Receives a body of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// 413 where it is longer, 408 where it is not there in time, 400 where it breaks off, and 503 where the bodies that are
    /// being received would hold more than messages that are not finished [may](crate::Limits::receiving_bytes_max).
    pub(super) async fn receive(&self, body: Body, bytes_max: usize) -> Result<Received, Refused> {
        let within = Duration::from_millis(self.limits().message_timeout_ms);
        let received = timeout(within, self.collect(body, bytes_max)).await;
        received.unwrap_or_else(|_| {
            let reason = format!("the body was not there after {within:?}, send it faster");
            Err(Refused::new(StatusCode::REQUEST_TIMEOUT, reason))
        })
    }

    async fn collect(&self, mut body: Body, bytes_max: usize) -> Result<Received, Refused> {
        let mut received = Received {
            bytes: Vec::new(),
            gate: Arc::clone(self.gate()),
        };
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(too_large(bytes_max));
        }
        let held_max = match self.limits().receiving_bytes_max {
            0 => usize::MAX,
            held_max => held_max,
        };
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|_| Refused::bad("the body broke off before its end, send it as a whole"))?;
            // Trailers say nothing here.
            let Ok(data) = frame.into_data() else { continue };
            if received.bytes.len() + data.len() > bytes_max {
                return Err(too_large(bytes_max));
            }
            if received.take(&data) > held_max {
                let reason = "too much is said at once by everybody together, come back later";
                return Err(Refused::unavailable(Cause::Aside, reason, COME_BACK_S));
            }
        }
        Ok(received)
    }
}

impl Received {
    /// Gives the bytes away, which somebody else bounds from now on.
    pub(super) fn take_bytes(&mut self) -> Vec<u8> {
        let bytes = std::mem::take(&mut self.bytes);
        self.gate.body_bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
        bytes
    }

    /// Takes bytes in; gives how many all bodies hold.
    fn take(&mut self, data: &[u8]) -> usize {
        self.bytes.extend_from_slice(data);
        self.gate.body_bytes.fetch_add(data.len(), Ordering::Relaxed) + data.len()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.gate
            .body_bytes
            .fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

/// The answer to more bytes than are read.
pub(super) fn too_large(bytes_max: usize) -> Refused {
    let reason =
        format!("more than {bytes_max} bytes are said at once, which is the limit, say it in pieces");
    Refused::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
}

/// The time in seconds over which those are spread for whom there was no room.
const COME_BACK_S: u64 = 5;
