//! Receiving the body of a request, in bounds of size and time.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::StatusCode;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

use super::refusal::Refused;

/// Receives a body of at most `bytes_max` bytes.
///
/// # Errors
/// 413 where it is longer, 408 where it is not there in time, 400 where it breaks off.
pub(super) async fn receive(body: Body, bytes_max: usize, within: Duration) -> Result<Bytes, Refused> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    match timeout(within, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
        Ok(Err(_)) => Err(Refused::bad(
            "the body broke off before its end, send it as a whole",
        )),
        Err(_) => {
            let reason = format!("the body was not there after {within:?}, send it faster");
            Err(Refused::new(StatusCode::REQUEST_TIMEOUT, reason))
        }
    }
}

/// The answer to more bytes than are read.
pub(super) fn too_large(bytes_max: usize) -> Refused {
    let reason =
        format!("more than {bytes_max} bytes are said at once, which is the limit, say it in pieces");
    Refused::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
}
