//! A WebSocket without a protocol on top, as a client in any language has one.

use std::collections::VecDeque;
use std::net::TcpStream;

use serde_json::{Value, json};
use socket2::{Domain, Type};
use tungstenite::client::ClientRequestBuilder;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{HandshakeError, Message, WebSocket};

use crate::{DEADLINE, Program};

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket {
    websocket: WebSocket<TcpStream>,
    /// What came before an answer that was waited for.
    kept: VecDeque<Value>,
}

impl Socket {
    /// Opens one.
    ///
    /// # Panics
    /// The program refuses it.
    pub fn open(program: &Program, path: &str) -> Self {
        Self::try_open(program, path, &[]).unwrap_or_else(|status| panic!("{path} was refused with {status}"))
    }

    /// Opens one behind which the network holds a few kilobytes and no more, for a client that stops to read.
    pub fn open_narrow(program: &Program, path: &str) -> Self {
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(RECEIVE_BYTES).unwrap();
        socket.connect(&program.address().into()).unwrap();
        Self::over(socket.into(), program, path, &[])
            .unwrap_or_else(|status| panic!("{path} was refused with {status}"))
    }

    /// Opens one with more headers.
    ///
    /// # Errors
    /// The status with which the program refuses it.
    pub fn try_open(program: &Program, path: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        Self::over(
            TcpStream::connect(program.address()).unwrap(),
            program,
            path,
            headers,
        )
    }

    fn over(stream: TcpStream, program: &Program, path: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let url = program.websocket_url(path).parse().unwrap();
        let request = headers
            .iter()
            .fold(ClientRequestBuilder::new(url), |request, &(name, value)| {
                request.with_header(name, value)
            });
        match tungstenite::client(request, stream) {
            Ok((websocket, _)) => Ok(Self {
                websocket,
                kept: VecDeque::new(),
            }),
            Err(HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// Sends a message.
    pub fn send(&mut self, message: impl Into<Message>) {
        self.websocket.send(message.into()).unwrap();
    }

    /// Sends a command in JSON.
    pub fn command(&mut self, command: &Value) {
        self.send(command.to_string());
    }

    /// The next message; pings are answered and passed over.
    pub fn next_message(&mut self) -> Message {
        loop {
            match self.websocket.read().unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    /// The next message, as JSON.
    pub fn next_json(&mut self) -> Value {
        self.kept.pop_front().unwrap_or_else(|| self.read_json())
    }

    fn read_json(&mut self) -> Value {
        let message = self.next_message();
        let text = message
            .to_text()
            .unwrap_or_else(|error| panic!("{error}: {message:?}"));
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {message:?}"))
    }

    /// The next message of a `type`; others are passed over.
    pub fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let push = self.next_json();
            if push["type"] == kind {
                return push;
            }
        }
    }

    /// Sends a command with an id and waits for its answer. What comes before that is kept for later.
    pub fn ask(&mut self, mut command: Value) -> Value {
        command["id"] = json!("asked");
        self.command(&command);
        loop {
            let answer = self.read_json();
            if answer["id"] == "asked" {
                return answer;
            }
            self.kept.push_back(answer);
        }
    }

    /// Waits until the server closes it; the code. What comes before that is passed over.
    pub fn closed(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.next_message() {
                // The server may not have waited for the answer.
                let _ = self.websocket.flush();
                return frame.map_or(1005, |frame| CloseCode::into(frame.code));
            }
        }
    }

    /// Closes it and waits until the server has done the same.
    pub fn close(mut self) {
        self.websocket.close(None).unwrap();
        while self.websocket.read().is_ok() {}
    }
}

/// The kernel's receive buffer of a narrow socket.
const RECEIVE_BYTES: usize = 4 << 10;
