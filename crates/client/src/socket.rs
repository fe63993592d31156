//! A WebSocket over TCP or TLS: connects, takes messages out of the bytes, and writes masked frames.
//!
//! What messages mean is not known here, and nothing is answered here.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use fanfare_protocol::websocket::{Decoder, Item, Opcode, Role, Violation, encode_masked_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::connect_options::ConnectOptions;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::handshake::Handshake;
use crate::limits::READ_BYTES;
use crate::stream::{self, Stream};
use crate::token::Token;

/// An open WebSocket, seen from the client.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    /// Items that are decoded and not taken yet; no more than one read brought.
    received: VecDeque<Received>,
    /// What the server did wrong after those.
    violation: Option<Violation>,
    message_bytes_max: u32,
    write_timeout: Duration,
}

/// Something whole the server sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Text(String),
    Binary,
    Ping(Vec<u8>),
    Pong,
    Close { code: Option<u16>, reason: String },
}

impl Socket {
    /// Connects and completes the handshake, showing a token. The caller bounds the time it may take.
    pub(crate) async fn connect(
        endpoint: &Endpoint,
        options: &ConnectOptions,
        token: Option<&Token>,
    ) -> Result<Self, Error> {
        let mut stream = stream::connect(endpoint, options).await?;
        let mut leftover = shake_hands(&mut *stream, endpoint, token).await?;
        let mut socket = Self {
            stream,
            decoder: Decoder::new(Role::Client),
            received: VecDeque::new(),
            violation: None,
            message_bytes_max: options.message_bytes_max,
            write_timeout: options.write_timeout,
        };
        socket.decode(&mut leftover);
        Ok(socket)
    }

    /// The next item of the server. May be dropped while it waits.
    pub(crate) async fn receive(&mut self) -> Result<Received, Error> {
        loop {
            if let Some(item) = self.received.pop_front() {
                return Ok(item);
            }
            if let Some(violation) = self.violation {
                return Err(violation.into());
            }
            let mut bytes = Vec::with_capacity(READ_BYTES);
            if self.stream.read_buf(&mut bytes).await? == 0 {
                return Err(Error::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            self.decode(&mut bytes);
        }
    }

    /// Takes out what is whole. What came before a violation still counts, what comes after a close frame does not.
    fn decode(&mut self, mut input: &mut [u8]) {
        while !matches!(self.received.back(), Some(Received::Close { .. })) {
            match self.decoder.next(&mut input, self.message_bytes_max) {
                Ok(Some(item)) => self.received.push_back(item.into()),
                Ok(None) => return,
                Err(violation) => {
                    self.violation = Some(violation);
                    return;
                }
            }
        }
    }

    /// Writes a text message.
    pub(crate) async fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.send(Opcode::Text, text.as_bytes()).await
    }

    /// Answers a ping.
    pub(crate) async fn send_pong(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.send(Opcode::Pong, payload).await
    }

    /// Writes a close frame without a reason.
    pub(crate) async fn send_close(&mut self, code: u16) -> Result<(), Error> {
        self.send(Opcode::Close, &code.to_be_bytes()).await
    }

    async fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Error> {
        let mut frame = Vec::with_capacity(payload.len() + 14);
        encode_masked_frame(opcode, payload, fastrand::u32(..).to_ne_bytes(), &mut frame);
        let stream = &mut self.stream;
        let written = timeout(self.write_timeout, async {
            stream.write_all(&frame).await?;
            stream.flush().await
        })
        .await;
        written.map_err(|_| Error::Stalled)?.map_err(Error::Io)
    }
}

impl From<Item<'_>> for Received {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Text(text) => Self::Text(text.to_owned()),
            Item::Binary(_) => Self::Binary,
            Item::Ping(payload) => Self::Ping(payload.to_owned()),
            Item::Pong(_) => Self::Pong,
            Item::Close(None) => Self::Close {
                code: None,
                reason: String::new(),
            },
            Item::Close(Some(close)) => Self::Close {
                code: Some(close.code),
                reason: close.reason.to_owned(),
            },
        }
    }
}

/// Sends the request and reads the answer; the bytes that came behind it.
async fn shake_hands(
    stream: &mut dyn Stream,
    endpoint: &Endpoint,
    token: Option<&Token>,
) -> Result<Vec<u8>, Error> {
    let handshake = Handshake::new(fastrand::u128(..).to_ne_bytes(), token);
    stream.write_all(handshake.request(endpoint).as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    loop {
        answer.reserve(READ_BYTES);
        if stream.read_buf(&mut answer).await? == 0 {
            // The beginning of an answer is none: the line broke, or something on the way is being restarted.
            return Err(Error::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        if let Some(head_bytes) = handshake.handle_answer(&answer)? {
            return Ok(answer.split_off(head_bytes));
        }
    }
}
