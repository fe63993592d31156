//! The client's half of the WebSocket handshake (RFC 6455 section 4.1): the request, and the check of the answer.
//!
//! Bytes in, bytes out; [`socket`](crate::socket) does the reading and writing.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanfare_protocol::websocket::accept_key;

use crate::endpoint::Endpoint;
use crate::limits::{REASON_CHARACTERS_MAX, RESPONSE_HEAD_BYTES_MAX, RESPONSE_HEADERS_MAX};
use crate::token::Token;

/// Why the server's answer is no WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The server answered with something else than an upgrade.
    #[error("server answered with status {status} instead of 101{}", told(.reason))]
    Status {
        /// The HTTP status.
        status: u16,
        /// What it said about it in plain text: one line of at most 256 characters, perhaps none.
        reason: String,
        /// When it asks to come back (`Retry-After` in seconds; a date is not read).
        retry_after: Option<Duration>,
    },
    /// The answer is not HTTP/1.1, or its head exceeds 16 KiB or 64 fields.
    #[error(
        "server's answer is not an HTTP/1.1 response of at most {RESPONSE_HEAD_BYTES_MAX} bytes; check host and port"
    )]
    NotHttp,
    /// A required field is missing or wrong.
    #[error("server's answer has no correct `{field}`; check that the URL leads to a WebSocket server")]
    Field {
        /// The header field.
        field: &'static str,
    },
}

impl HandshakeError {
    /// Whether the same request may succeed later: the server or something before it is busy or broken.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: 408 | 425 | 429 | 500..=599,
                ..
            }
        )
    }

    /// How long the server asks to stay away, when it says.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The end of the sentence about a status.
fn told(reason: &str) -> String {
    if reason.is_empty() {
        "; check the URL's path and who may connect".to_owned()
    } else {
        format!(": {reason}")
    }
}

/// One attempt to upgrade.
#[derive(Debug)]
pub(crate) struct Handshake<'t> {
    key: String,
    token: Option<&'t Token>,
}

impl<'t> Handshake<'t> {
    /// An attempt whose key is made of `nonce`, which is drawn anew for each (RFC 6455 section 4.1), with the token that
    /// says who asks.
    pub(crate) fn new(nonce: [u8; 16], token: Option<&'t Token>) -> Self {
        Self {
            key: STANDARD.encode(nonce),
            token,
        }
    }

    /// The request to send.
    pub(crate) fn request(&self, endpoint: &Endpoint) -> String {
        let authorization = self.token.map_or(String::new(), |token| {
            format!("Authorization: Bearer {}\r\n", token.expose())
        });
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n{authorization}User-Agent: {USER_AGENT}\r\n\r\n",
            endpoint.target, endpoint.authority, self.key
        )
    }

    /// How many bytes of `answer` its head takes, once all of it is there and it agrees to the upgrade.
    pub(crate) fn handle_answer(&self, answer: &[u8]) -> Result<Option<usize>, HandshakeError> {
        let mut headers = [httparse::EMPTY_HEADER; RESPONSE_HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(answer) {
            Ok(httparse::Status::Complete(head_bytes)) => {
                self.check(&response, &answer[head_bytes..])?;
                Ok(Some(head_bytes))
            }
            Ok(httparse::Status::Partial) if answer.len() < RESPONSE_HEAD_BYTES_MAX => Ok(None),
            Ok(httparse::Status::Partial) | Err(_) => Err(HandshakeError::NotHttp),
        }
    }

    /// Whether a whole answer is an upgrade to what was asked for. What follows the head says why not, as far as it is there.
    fn check(&self, response: &httparse::Response<'_, '_>, body: &[u8]) -> Result<(), HandshakeError> {
        if response.version != Some(1) {
            return Err(HandshakeError::NotHttp);
        }
        if response.code != Some(101) {
            return Err(HandshakeError::Status {
                status: response.code.unwrap_or_default(),
                reason: self.reason(response, body),
                retry_after: field(response, "Retry-After")
                    .and_then(|seconds| seconds.parse().ok())
                    .map(Duration::from_secs),
            });
        }
        let accept = accept_key(&self.key);
        require(
            "Upgrade",
            field(response, "Upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")),
        )?;
        require(
            "Connection",
            field(response, "Connection").is_some_and(names_upgrade),
        )?;
        require(
            "Sec-WebSocket-Accept",
            field(response, "Sec-WebSocket-Accept") == Some(&accept),
        )?;
        require(
            "Sec-WebSocket-Extensions",
            field(response, "Sec-WebSocket-Extensions").is_none(),
        )?;
        let protocol = field(response, "Sec-WebSocket-Protocol");
        require(
            "Sec-WebSocket-Protocol",
            protocol.is_none_or(|name| name == SUBPROTOCOL),
        )
    }

    /// The first line of a body of plain text, fit to be shown on a terminal; nothing of one that repeats the token.
    fn reason(&self, response: &httparse::Response<'_, '_>, body: &[u8]) -> String {
        let body = String::from_utf8_lossy(body);
        let is_text = field(response, "Content-Type").is_some_and(|kind| kind.starts_with("text/plain"));
        let is_token_shown = self.token.is_some_and(|token| body.contains(token.expose()));
        let line = body.lines().next().filter(|_| is_text && !is_token_shown);
        line.unwrap_or_default()
            .chars()
            .filter(|character| !character.is_control())
            .take(REASON_CHARACTERS_MAX)
            .collect()
    }
}

/// The value of a header field, without white space around it.
fn field<'b>(response: &httparse::Response<'_, 'b>, name: &str) -> Option<&'b str> {
    let header = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(header.value).ok().map(str::trim)
}

/// Whether a `Connection` field has the token `upgrade`.
fn names_upgrade(value: &str) -> bool {
    value
        .split(',')
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

/// Fails with the name of `field` unless it is correct.
fn require(field: &'static str, is_correct: bool) -> Result<(), HandshakeError> {
    if is_correct {
        Ok(())
    } else {
        Err(HandshakeError::Field { field })
    }
}

/// The subprotocol of version 1 of the `json` dialect.
const SUBPROTOCOL: &str = "fanfare.json.v1";

/// What the client calls itself.
const USER_AGENT: &str = concat!("fanfare-client/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
                          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    /// The key of the example in RFC 6455 section 1.3.
    fn handshake() -> Handshake<'static> {
        Handshake::new(*b"the sample nonce", None)
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted_and_what_follows_it_is_left() {
        let with_frame = format!("{ANSWER}\u{1}\u{2}");
        assert_eq!(
            handshake().handle_answer(with_frame.as_bytes()),
            Ok(Some(ANSWER.len()))
        );
    }

    #[test]
    fn an_answer_cut_anywhere_is_waited_for() {
        for end in 0..ANSWER.len() {
            assert_eq!(
                handshake().handle_answer(&ANSWER.as_bytes()[..end]),
                Ok(None),
                "{end}"
            );
        }
    }

    #[test]
    fn an_answer_that_does_not_agree_is_refused() {
        for (part, instead, field) in [
            ("WebSocket\r", "h2c\r", "Upgrade"),
            ("keep-alive, Upgrade", "keep-alive", "Connection"),
            ("s3pP", "S3pP", "Sec-WebSocket-Accept"),
            (
                "\r\n\r\n",
                "\r\nSec-WebSocket-Protocol: other\r\n\r\n",
                "Sec-WebSocket-Protocol",
            ),
            (
                "\r\n\r\n",
                "\r\nSec-WebSocket-Extensions: x\r\n\r\n",
                "Sec-WebSocket-Extensions",
            ),
        ] {
            let answer = ANSWER.replace(part, instead);
            assert_eq!(
                handshake().handle_answer(answer.as_bytes()),
                Err(HandshakeError::Field { field })
            );
        }
    }

    #[test]
    fn another_status_is_told_and_only_the_servers_fault_is_temporary() {
        for (status, is_temporary) in [(403, false), (404, false), (429, true), (503, true)] {
            let answer = format!("HTTP/1.1 {status} No\r\n\r\n");
            let error = handshake().handle_answer(answer.as_bytes()).unwrap_err();
            let expected = HandshakeError::Status {
                status,
                reason: String::new(),
                retry_after: None,
            };
            assert_eq!(error, expected);
            assert_eq!(error.is_temporary(), is_temporary);
        }
    }

    #[test]
    fn a_refusal_says_why_and_when_to_come_back() {
        let answer = "HTTP/1.1 503 No\r\nretry-after: 7\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
                      the server\u{1b}[2J stops\nmore";
        let error = handshake().handle_answer(answer.as_bytes()).unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(
            error.to_string(),
            "server answered with status 503 instead of 101: the server[2J stops"
        );
        for (kind, seconds) in [
            ("text/html", "-1"),
            ("text/plainly", "Wed, 21 Oct 2026 07:28:00 GMT"),
        ] {
            let answer = format!(
                "HTTP/1.1 429 No\r\nRetry-After: {seconds}\r\nContent-Type: {kind}\r\n\r\n{}",
                "x".repeat(9000)
            );
            let error = handshake().handle_answer(answer.as_bytes()).unwrap_err();
            assert_eq!(error.retry_after(), None);
            assert!(error.to_string().len() < 400, "{error}");
        }
    }

    #[test]
    fn a_refusal_that_repeats_the_token_is_not_shown() {
        let token = Token::parse("a.secret.token").unwrap();
        let answer = "HTTP/1.1 400 No\r\nContent-Type: text/plain\r\n\r\nBearer a.secret.token";
        let error = Handshake::new([0; 16], Some(&token)).handle_answer(answer.as_bytes());
        let shown = format!("{error:?}");
        assert!(shown.contains("400") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn an_endless_answer_is_refused() {
        let answer = format!("HTTP/1.1 101 OK\r\nX: {}", "x".repeat(RESPONSE_HEAD_BYTES_MAX));
        assert_eq!(
            handshake().handle_answer(answer.as_bytes()),
            Err(HandshakeError::NotHttp)
        );
        let answer = format!(
            "HTTP/1.1 101 OK\r\n{}\r\n",
            "X: y\r\n".repeat(RESPONSE_HEADERS_MAX + 1)
        );
        assert_eq!(
            handshake().handle_answer(answer.as_bytes()),
            Err(HandshakeError::NotHttp)
        );
        assert_eq!(
            handshake().handle_answer(b"SSH-2.0-x\r\n"),
            Err(HandshakeError::NotHttp)
        );
    }

    #[test]
    fn the_request_asks_for_the_dialect() {
        let endpoint = Endpoint::parse("ws://example.org:8080/ws?topic=a").unwrap();
        let request = handshake().request(&endpoint);
        assert!(!request.contains("Authorization"), "{request}");
        assert!(
            request.starts_with("GET /ws?topic=a HTTP/1.1\r\nHost: example.org:8080\r\n"),
            "{request}"
        );
        assert!(
            request.contains("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
            "{request}"
        );
        assert!(
            request.contains("Sec-WebSocket-Protocol: fanfare.json.v1\r\n"),
            "{request}"
        );
        let token = Token::parse("a.b.c").unwrap();
        let request = Handshake::new([0; 16], Some(&token)).request(&endpoint);
        assert!(
            request.contains("\r\nAuthorization: Bearer a.b.c\r\n"),
            "{request}"
        );
    }
}
