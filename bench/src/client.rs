//! The clients' side of a connection: the upgrade, and reading and writing frames afterwards.
//!
//! Opening is blocking, with a bounded number of connections under way; what comes out is a non-blocking socket for
//! the generator's poll. The server's `Sec-WebSocket-Accept` is not checked: a measurement trusts its server.

use crate::dialect::Said;
use crate::wire::{self, Frame, FrameParser};
use mio::net::TcpStream;
use socket2::{Domain, Socket, Type};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// What a set of connections asks the server for.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The `User-Agent` line and those that browsers send beside it, or none.
    pub(crate) user_agent: Option<String>,
    /// What is in the messages that say the connection is settled; empty when the upgrade alone says so.
    pub(crate) greetings: &'static [&'static [u8]],
    /// An extension to offer, with its parameters; a server that does not grant it is an error.
    pub(crate) extension: Option<&'static str>,
    /// Size of the kernel's receive buffer; without it the system chooses.
    pub(crate) receive_buffer_bytes: Option<usize>,
    /// Streams of server-sent events instead of WebSockets: what they say is not read.
    pub(crate) is_stream: bool,
}

/// What one connection asks for.
pub(crate) struct Entry {
    /// The path and query of its request.
    pub(crate) path: String,
    /// What it says right behind that.
    pub(crate) hello: Option<Said>,
}

impl From<String> for Entry {
    /// A WebSocket of Fanfare's own, of which a query says everything.
    fn from(query: String) -> Self {
        Self {
            path: format!("/ws?{query}"),
            hello: None,
        }
    }
}

impl Target {
    /// Connections that are settled with the upgrade and send no header they need not.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            user_agent: None,
            greetings: &[],
            extension: None,
            receive_buffer_bytes: None,
            is_stream: false,
        }
    }

    /// Opens one connection for every entry, in order, `IN_FLIGHT_MAX` of them under way at a time.
    pub(crate) fn connect_all(
        &self,
        entries: impl Iterator<Item = impl Into<Entry>>,
    ) -> io::Result<Vec<Connection>> {
        let mut opening = VecDeque::with_capacity(IN_FLIGHT_MAX);
        let mut open = Vec::with_capacity(entries.size_hint().0);
        for entry in entries {
            if opening.len() == IN_FLIGHT_MAX {
                open.extend(opening.pop_front().map(Opening::finish).transpose()?);
            }
            opening.push_back(self.begin(&entry.into())?);
        }
        for rest in opening {
            open.push(rest.finish()?);
        }
        Ok(open)
    }

    /// Opens one connection.
    pub(crate) fn connect_one(&self, entry: impl Into<Entry>) -> io::Result<Connection> {
        self.begin(&entry.into())?.finish()
    }

    fn begin(&self, entry: &Entry) -> io::Result<Opening> {
        let mut stream = self.connect_patiently()?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(OPEN_TIMEOUT))?;
        let mut request = self.request(&entry.path).into_bytes();
        if let Some((opcode, message)) = &entry.hello {
            wire::push_masked(&mut request, *opcode, message, MASK);
        }
        stream.write_all(&request)?;
        Ok(Opening {
            stream,
            greetings: self.greetings,
            extension: self.extension,
            is_stream: self.is_stream,
        })
    }

    /// Connects, and waits when all local ports are taken by connections that ended a moment ago.
    fn connect_patiently(&self) -> io::Result<std::net::TcpStream> {
        for _ in 0..CONNECT_TRIES {
            match self.connect() {
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                other => return other,
            }
        }
        self.connect()
    }

    fn connect(&self) -> io::Result<std::net::TcpStream> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
        if let Some(bytes) = self.receive_buffer_bytes {
            // Before connecting: the first window is announced with the SYN.
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.connect(&self.address.into())?;
        Ok(socket.into())
    }

    fn request(&self, path: &str) -> String {
        let address = self.address;
        let browser = self.user_agent.as_deref().map_or(String::new(), |user_agent| {
            format!(
                "User-Agent: {user_agent}\r\nOrigin: http://{address}\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n\
                 Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n"
            )
        });
        let extension = self.extension.map_or(String::new(), |extension| {
            format!("Sec-WebSocket-Extensions: {extension}\r\n")
        });
        if self.is_stream {
            return format!(
                "GET {path} HTTP/1.1\r\nHost: {address}\r\n{browser}Accept: text/event-stream\r\n\r\n"
            );
        }
        format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{browser}{extension}\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    }
}

/// A connection whose request is sent and whose answers are not read yet.
struct Opening {
    stream: std::net::TcpStream,
    greetings: &'static [&'static [u8]],
    extension: Option<&'static str>,
    is_stream: bool,
}

impl Opening {
    fn finish(mut self) -> io::Result<Connection> {
        let mut parser = FrameParser::default();
        let mut greetings = self.greetings.to_vec();
        let mut rest = self.read_upgrade()?;
        while !self.is_stream {
            let mut refusal = None;
            parser.feed(&mut rest, |frame| {
                if is_refusal(&frame) {
                    refusal = Some(String::from_utf8_lossy(frame.payload).into_owned());
                }
                greetings.retain(|greeting| !contains(frame.payload, greeting));
            })?;
            if let Some(refusal) = refusal {
                return Err(io::Error::other(format!("server refuses: {refusal}")));
            }
            if greetings.is_empty() {
                break;
            }
            rest = read_some(&mut self.stream)?;
        }
        self.stream.set_nonblocking(true)?;
        Ok(Connection {
            stream: TcpStream::from_std(self.stream),
            parser,
            unsent: Vec::new(),
            is_stream: self.is_stream,
        })
    }

    /// Reads the answer's head; returns the bytes that came with it and belong to frames.
    fn read_upgrade(&mut self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        while head.len() < HEAD_BYTES_MAX {
            head.extend(read_some(&mut self.stream)?);
            let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            let welcome: &[u8] = if self.is_stream {
                b"HTTP/1.1 200 "
            } else {
                b"HTTP/1.1 101 "
            };
            if !head.starts_with(welcome) {
                let answer = String::from_utf8_lossy(&head).into_owned();
                return Err(io::Error::other(format!("server does not upgrade: {answer}")));
            }
            let rest = head.split_off(end + 4);
            self.check_extension(&head)?;
            return Ok(rest);
        }
        Err(io::Error::other(format!(
            "server answers with a head of more than {HEAD_BYTES_MAX} bytes"
        )))
    }

    fn check_extension(&self, head: &[u8]) -> io::Result<()> {
        let Some(name) = self.extension.and_then(|extension| extension.split(';').next()) else {
            return Ok(());
        };
        if String::from_utf8_lossy(head).contains(name) {
            return Ok(());
        }
        Err(io::Error::other(format!("server does not grant {name}")))
    }
}

fn read_some(stream: &mut std::net::TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = [0; 2048];
    match stream.read(&mut bytes)? {
        0 => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "server closes while a connection opens",
        )),
        count => Ok(bytes[..count].to_vec()),
    }
}

/// Whether a server says no: in `json`, in Centrifuge's JSON, or by closing.
fn is_refusal(frame: &Frame<'_>) -> bool {
    let words: [&[u8]; 3] = [br#""type":"error""#, br#""type":"goodbye""#, br#","error":{"#];
    frame.opcode == wire::CLOSE || words.iter().any(|words| contains(frame.payload, words))
}

/// Whether `words` stand somewhere in a payload.
pub(crate) fn contains(payload: &[u8], words: &[u8]) -> bool {
    payload.windows(words.len()).any(|window| window == words)
}

/// An open connection; its socket does not block.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    parser: FrameParser,
    unsent: Vec<u8>,
    is_stream: bool,
}

impl Connection {
    /// Reads all there is and hands every text and binary payload to `on_payload`; answers pings.
    ///
    /// An error says that the connection is at its end and why.
    pub(crate) fn read(&mut self, buffer: &mut [u8], mut on_payload: impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "server closed the connection",
                    ));
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if self.is_stream {
                continue;
            }
            let (unsent, mut close) = (&mut self.unsent, None);
            self.parser
                .feed(&mut buffer[..count], |frame| match frame.opcode {
                    wire::TEXT | wire::BINARY => on_payload(frame.payload),
                    wire::PING => wire::push_masked(unsent, wire::PONG, frame.payload, MASK),
                    wire::CLOSE => close = Some(close_text(frame.payload)),
                    _ => {}
                })?;
            if let Some(reason) = close {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, reason));
            }
            self.flush()?;
            if count < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Sends `bytes`, whole frames, in one write as far as the socket takes them; the rest waits for `flush`.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unsent.extend_from_slice(bytes);
        self.flush()
    }

    /// Whether bytes still wait because the server does not read.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Writes what waits, as far as the socket takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says goodbye with a close frame, as a page does that is left; the socket is closed right behind it.
    pub(crate) fn close(mut self) {
        let mut frame = Vec::new();
        wire::push_masked(&mut frame, wire::CLOSE, &1001_u16.to_be_bytes(), MASK);
        // The server may have gone already, and then there is nobody to say goodbye to.
        let _ = self.send(&frame);
    }
}

fn close_text(payload: &[u8]) -> String {
    match payload {
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            format!("server closed with {code} {}", String::from_utf8_lossy(reason))
        }
        _ => "server closed without a code".to_owned(),
    }
}

/// Below the 128 waiting connections that many servers give their listener.
const IN_FLIGHT_MAX: usize = 100;
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// With pauses of 100 ms: longer than the second after which Linux gives a loopback port out again.
const CONNECT_TRIES: usize = 50;
const HEAD_BYTES_MAX: usize = 16 << 10;
const MASK: [u8; 4] = [0x5a, 0x31, 0xc4, 0x7e];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;

    #[test]
    fn a_refusal_is_told_from_a_greeting() {
        let frame = |opcode, payload| Frame { opcode, payload };
        for refusal in [
            frame(wire::TEXT, br#"{"type":"goodbye","code":3001}"#),
            frame(wire::TEXT, br#"{"id":1,"error":{"code":103}}"#),
            frame(wire::CLOSE, b"\x0d\xad"),
        ] {
            assert!(is_refusal(&refusal), "{refusal:?}");
        }
        assert!(!is_refusal(&frame(wire::TEXT, br#"{"type":"welcome"}"#)));
        assert!(!contains(b"ab", b"abc") && contains(b"abc", b"bc"));
    }

    #[test]
    fn a_browser_sends_more_than_it_must() {
        let mut target = Target::plain(SocketAddr::from(([127, 0, 0, 1], 80)));
        assert!(!target.request("/ws?topic=a").contains("User-Agent"));
        target.user_agent = Some("Browser/1".to_owned());
        target.extension = Some("permessage-deflate");
        assert!(
            target
                .request("/ws?topic=a")
                .contains("\r\nUser-Agent: Browser/1\r\nOrigin: http://127.0.0.1:80\r\n")
        );
        assert!(
            target
                .request("/ws?topic=a")
                .contains("\r\nSec-WebSocket-Extensions: permessage-deflate\r\n")
        );
    }

    /// Opens one connection to a server that answers the request with `pieces`, one write each.
    fn open_against(pieces: &'static [&'static [u8]]) -> io::Result<Vec<Connection>> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut target = Target::plain(listener.local_addr().unwrap());
        target.greetings = Dialect::Json.greetings();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            assert!(stream.read(&mut [0; 2048]).unwrap() > 0);
            for piece in pieces {
                stream.write_all(piece).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let opened = target.connect_all(std::iter::once("topic=a".to_owned()));
        server.join().unwrap();
        opened
    }

    #[test]
    fn greetings_are_found_however_the_bytes_are_cut() {
        let pieces: &[&[u8]] = &[
            b"HTTP/1.1 101 Up\r\n",
            b"\r\n\x81\x12{\"type\":\"wel",
            b"come\"}\x81\x15{\"type\":\"subscribed\"}",
        ];
        assert_eq!(open_against(pieces).unwrap().len(), 1);
    }

    #[test]
    fn a_refusal_is_an_error_that_shows_it() {
        let no_upgrade = open_against(&[b"HTTP/1.1 403 Forbidden\r\n\r\n"]).unwrap_err();
        assert!(no_upgrade.to_string().contains("403"), "{no_upgrade}");
        let error = open_against(&[b"HTTP/1.1 101 Up\r\n\r\n\x81\x10{\"type\":\"error\"}"]).unwrap_err();
        assert!(error.to_string().contains("server refuses"), "{error}");
        assert!(open_against(&[b"HTTP/1.1 101 Up\r\n\r\n"]).is_err());
    }

    #[test]
    fn an_extension_must_be_granted() {
        let mut stream = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| std::net::TcpStream::connect(listener.local_addr()?))
            .map(|stream| Opening {
                stream,
                greetings: &[],
                extension: Some("permessage-deflate; client_no_context_takeover"),
                is_stream: false,
            })
            .unwrap();
        let granted = b"HTTP/1.1 101 Up\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
        assert!(stream.check_extension(granted).is_ok());
        assert!(stream.check_extension(b"HTTP/1.1 101 Up\r\n\r\n").is_err());
        stream.extension = None;
        assert!(stream.check_extension(b"HTTP/1.1 101 Up\r\n\r\n").is_ok());
    }
}
