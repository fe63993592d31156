//! A WebSocket client over a plain socket that can also do what no decent one does: send any bytes, stop reading,
//! vanish. Everything it waits for has a deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use serde_json::{Value, json};
use socket2::{Domain, SockRef, Socket, Type};

/// The longest time that anything may take which is not about time. Far more than needed: machines are shared.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8A;

/// One end of a connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// Its TLS, if it speaks any.
    pub(crate) tls: Option<ClientConnection>,
    received: Vec<u8>,
    taken: usize,
}

/// A frame as the server sent it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The first byte of the header: FIN, reserved bits, opcode.
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

/// An HTTP response; the body of a `101` is empty.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// How the server closed a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The goodbye right before the close frame, in the json dialect.
    pub(crate) goodbye: Option<Value>,
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl Client {
    /// A TCP connection on which nothing was said.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// A TCP connection that takes little in while nobody reads.
    pub(crate) fn connect_narrow(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::over(socket.into())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        if stream.peer_addr().is_ok() {
            stream.set_nodelay(true).unwrap();
        }
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self {
            stream,
            tls: None,
            received: Vec::new(),
            taken: 0,
        }
    }

    /// A WebSocket connection.
    pub(crate) fn open(address: SocketAddr, target: &str) -> Self {
        Self::connect(address).upgraded(target)
    }

    /// A WebSocket connection of the json dialect that was welcomed; with its id.
    pub(crate) fn open_json(address: SocketAddr, target: &str) -> (Self, String) {
        let mut client = Self::open(address, target);
        let welcome = client.expect("welcome");
        let id = welcome["connection"].as_str().unwrap().to_owned();
        (client, id)
    }

    /// Opens the WebSocket on this connection.
    pub(crate) fn upgraded(mut self, target: &str) -> Self {
        self.send(upgrade_request(target, &[]).as_bytes());
        let response = self.response().expect("an answer to the handshake");
        assert_eq!(response.status, 101, "{response:?}");
        self
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// Sends bytes to somebody who may be gone.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls, &mut self.stream).write_all(bytes),
            None => self.stream.write_all(bytes),
        }
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.send(&masked(TEXT, text.as_bytes()));
    }

    pub(crate) fn send_json(&mut self, value: Value) {
        self.send_text(&value.to_string());
    }

    /// Sends a command and gives its reply; nothing may come between.
    pub(crate) fn ask(&mut self, command: Value) -> Value {
        self.send_json(command);
        self.json()
    }

    /// Sends a command and gives its reply, past messages that come before it.
    pub(crate) fn ask_past_messages(&mut self, command: Value) -> Value {
        self.send_json(command);
        loop {
            let value = self.json();
            if value["type"] != "message" {
                return value;
            }
        }
    }

    /// Subscribes and waits until that is in force.
    pub(crate) fn subscribe(&mut self, topics: &[&str]) -> Value {
        let reply = self.ask(json!({"type": "subscribe", "topics": topics, "id": 0}));
        assert_eq!(reply["type"], "subscribed", "{reply}");
        reply
    }

    /// The next frame; none at the end of the connection.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        self.frame_until(Instant::now() + DEADLINE)
    }

    fn frame_until(&mut self, deadline: Instant) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = parse(&self.received[self.taken..]) {
                self.taken += length;
                return Some(frame);
            }
            if !self.receive(deadline) {
                return None;
            }
        }
    }

    /// The next frame that is no ping; pings are answered.
    pub(crate) fn message(&mut self) -> Option<Frame> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let frame = self.frame_until(deadline)?;
            if frame.first != PING {
                return Some(frame);
            }
            // A server that is closing may have gone already.
            let _ = self.try_send(&masked(PONG, &frame.payload));
        }
    }

    pub(crate) fn text(&mut self) -> String {
        let frame = self.message().expect("a message and not the end");
        assert_eq!(frame.first, TEXT, "{frame:?}");
        String::from_utf8(frame.payload).unwrap()
    }

    pub(crate) fn json(&mut self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }

    /// The next message, which must be of that type.
    pub(crate) fn expect(&mut self, kind: &str) -> Value {
        let value = self.json();
        assert_eq!(value["type"], kind, "{value}");
        value
    }

    /// Reads to the close frame, past anything but a goodbye, and answers it; then the connection must end.
    pub(crate) fn ending(&mut self) -> Ending {
        let mut goodbye = None;
        loop {
            let frame = self.message().expect("a close frame before the end");
            if frame.first == CLOSE {
                let _ = self.try_send(&masked(CLOSE, &frame.payload));
                assert_eq!(self.frame(), None, "nothing follows a close frame");
                return Ending::read(goodbye, &frame.payload);
            }
            let value: Option<Value> = serde_json::from_slice(&frame.payload).ok();
            goodbye = value.filter(|value| value["type"] == "goodbye");
        }
    }

    /// Closes with a code and reads to the server's answer; gives its code.
    pub(crate) fn close(&mut self, code: u16) -> u16 {
        self.send(&masked(CLOSE, &code.to_be_bytes()));
        self.ending().code
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Says that nothing more will be sent, and goes on listening.
    pub(crate) fn shut_write(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The next HTTP response; none when the server closed instead.
    pub(crate) fn response(&mut self) -> Option<Response> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let unread = &self.received[self.taken..];
            if let Some((response, length)) = Response::parse(unread) {
                self.taken += length;
                return Some(response);
            }
            if !self.receive(deadline) {
                return None;
            }
        }
    }

    /// The bytes that have come and were not looked at, or those that come next; none at the end.
    pub(crate) fn bytes(&mut self) -> Option<Vec<u8>> {
        if self.taken == self.received.len() && !self.receive(Instant::now() + DEADLINE) {
            return None;
        }
        let bytes = self.received.split_off(self.taken);
        self.taken = self.received.len();
        Some(bytes)
    }

    /// Waits until the server ends the connection, and tells how long that took.
    pub(crate) fn time_to_end(&mut self) -> Duration {
        let began = Instant::now();
        while self.receive(began + DEADLINE) {}
        began.elapsed()
    }

    /// Takes in what has come; false at the end of the connection.
    fn receive(&mut self, deadline: Instant) -> bool {
        self.received.drain(..std::mem::take(&mut self.taken));
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "nothing came in time");
        self.stream.set_read_timeout(Some(left)).unwrap();
        let mut buffer = [0; 16 << 10];
        let read = match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls, &mut self.stream).read(&mut buffer),
            None => self.stream.read(&mut buffer),
        };
        match read {
            Ok(0) => false,
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came in time")
            }
            Err(_) => false,
        }
    }
}

impl Ending {
    fn read(goodbye: Option<Value>, payload: &[u8]) -> Self {
        let code = payload
            .first_chunk()
            .map_or(1005, |bytes| u16::from_be_bytes(*bytes));
        let reason = payload.get(2..).unwrap_or_default();
        Self {
            goodbye,
            code,
            reason: String::from_utf8(reason.to_vec()).unwrap(),
        }
    }
}

impl Response {
    /// The value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (header, value) = line.split_once(':')?;
            header.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The seconds that the client is asked to wait.
    pub(crate) fn retry_after(&self) -> u64 {
        let after = self.header("retry-after").expect("it says when to come back");
        after.parse().unwrap()
    }

    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let head_length = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(bytes[..head_length].to_vec()).unwrap();
        let status = head.split(' ').nth(1)?.parse().unwrap();
        let mut response = Self {
            status,
            head,
            body: String::new(),
        };
        let body_length = response
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let body = bytes.get(head_length..head_length + body_length)?;
        response.body = String::from_utf8_lossy(body).into_owned();
        Some((response, head_length + body_length))
    }
}

/// A frame masked as a client must, with the shortest length encoding.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut frame = header(first, payload.len());
    frame[1] |= 0x80;
    frame.extend_from_slice(&MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// A frame as only a server may send it.
pub(crate) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len());
    frame.extend_from_slice(payload);
    frame
}

fn header(first: u8, length: usize) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        0..126 => header.push(length as u8),
        126..0x1_0000 => {
            header.push(126);
            header.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            header.push(127);
            header.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    header
}

/// The first whole frame and its length.
pub(crate) fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert!(second < 0x80, "a server masks nothing");
    let (length, at) = match second {
        126 => (u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize, 4),
        127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize, 10),
        short => (short as usize, 2),
    };
    let payload = bytes.get(at..at + length)?.to_vec();
    Some((Frame { first, payload }, at + length))
}

/// The opening handshake, with more header lines.
pub(crate) fn upgrade_request(target: &str, lines: &[&str]) -> String {
    let mut request = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for line in lines {
        request.push_str(line);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    eventually_or(is_so, || what.to_owned());
}

/// The same, where what to say when it is not so is known only then.
pub(crate) fn eventually_or(is_so: impl Fn() -> bool, what: impl Fn() -> String) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {}", what());
        std::thread::sleep(Duration::from_millis(5));
    }
}
