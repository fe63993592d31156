//! A backend of a test's own: a real HTTP server that answers hooks as it is told, rightly or wrongly.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What the tests have requests signed with.
pub(crate) const SECRET: &str = "the-secret-of-the-hooks";

/// A running backend. It ends with the value.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) text: String,
    pub(crate) body: Value,
}

/// What is done about a request.
pub(crate) enum Reply {
    /// 200 with this JSON; the connection stays open.
    Json(Value),
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, and then spaces for ever, so many at a time with a pause.
    Endless(Vec<u8>, usize, Duration),
    /// Nothing, until the other side goes.
    Silence,
}

impl Backend {
    /// A backend on a port of the system's choice.
    pub(crate) fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), answer)
    }

    /// A backend on a port, which somebody's outgoing connection may have for a moment.
    pub(crate) fn start_on(
        address: SocketAddr,
        answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = loop {
            match TcpListener::bind(address) {
                Ok(listener) => break listener,
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => panic!("{error}"),
            }
        };
        let address = listener.local_addr().unwrap();
        let (asked, sockets) = (Arc::default(), Arc::default());
        let is_over = Arc::new(AtomicBool::new(false));
        let shared = (Arc::clone(&asked), Arc::clone(&sockets), Arc::clone(&is_over));
        let accepting = std::thread::spawn(move || accept(&listener, &shared, &Arc::new(answer)));
        Self {
            address,
            asked,
            sockets,
            is_over,
            accepting: Some(accepting),
        }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Every request so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes whoever accepts.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            accepting.join().unwrap();
        }
        for socket in self.sockets.lock().unwrap().iter() {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

type Shared = (
    Arc<Mutex<Vec<Asked>>>,
    Arc<Mutex<Vec<TcpStream>>>,
    Arc<AtomicBool>,
);

fn accept<F>(listener: &TcpListener, shared: &Shared, answer: &Arc<F>)
where
    F: Fn(&Asked) -> Reply + Send + Sync + 'static,
{
    let (asked, sockets, is_over) = shared;
    loop {
        let (socket, _) = listener.accept().unwrap();
        if is_over.load(Ordering::SeqCst) {
            return;
        }
        socket.set_nodelay(true).unwrap();
        sockets.lock().unwrap().push(socket.try_clone().unwrap());
        let (asked, answer) = (Arc::clone(asked), Arc::clone(answer));
        std::thread::spawn(move || {
            // Whoever asked may go at any time.
            let _ = serve(socket, &asked, &*answer);
        });
    }
}

fn serve(
    mut socket: TcpStream,
    asked: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Asked) -> Reply,
) -> std::io::Result<()> {
    let mut received = Vec::new();
    while let Some(request) = receive(&mut socket, &mut received)? {
        asked.lock().unwrap().push(request.clone());
        match answer(&request) {
            Reply::Json(value) => socket.write_all(&ok(&value.to_string()))?,
            Reply::Bytes(bytes) => {
                socket.write_all(&bytes)?;
                return socket.shutdown(Shutdown::Both);
            }
            Reply::Endless(bytes, count, pause) => {
                socket.write_all(&bytes)?;
                loop {
                    socket.write_all(&vec![b' '; count])?;
                    std::thread::sleep(pause);
                }
            }
            Reply::Silence => {
                let _ = socket.read(&mut [0])?;
                return Ok(());
            }
        }
    }
    Ok(())
}

/// 200 with a text that says to be JSON.
pub(crate) fn ok(text: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    )
    .into_bytes()
}

/// An answer without a body, and the last one.
pub(crate) fn status(line: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// The next request on a connection; none at its end.
pub(crate) fn receive(socket: &mut impl Read, received: &mut Vec<u8>) -> std::io::Result<Option<Asked>> {
    loop {
        if let Some((request, length)) = parse(received) {
            received.drain(..length);
            return Ok(Some(request));
        }
        let mut buffer = [0; 16 << 10];
        match socket.read(&mut buffer)? {
            0 => return Ok(None),
            count => received.extend_from_slice(&buffer[..count]),
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(Asked, usize)> {
    let head_length = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_length]).unwrap();
    let mut lines = head.lines();
    let target = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let body_length: usize = headers["content-length"].parse().unwrap();
    let body = bytes.get(head_length..head_length + body_length)?;
    let text = String::from_utf8(body.to_vec()).unwrap();
    let asked = Asked {
        target,
        headers,
        body: serde_json::from_str(&text).unwrap(),
        text,
    };
    Some((asked, head_length + body_length))
}

impl Asked {
    /// Whether one of its signatures was made with the secret: read as a receiver would, with an HMAC of the test's own.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let parts: Vec<(&str, &str)> = self.headers["fanfare-signature"]
            .split(',')
            .filter_map(|part| part.split_once('='))
            .collect();
        let (_, seconds) = parts.iter().find(|(name, _)| *name == "t").unwrap();
        let age = now_seconds().abs_diff(seconds.parse().unwrap());
        let expected = hmac(secret.as_bytes(), format!("{seconds}.{}", self.text).as_bytes());
        age < 300 && parts.contains(&("v1", &expected))
    }
}

/// HMAC-SHA256 as RFC 2104 describes it, in hexadecimal.
fn hmac(secret: &[u8], text: &[u8]) -> String {
    assert!(secret.len() <= 64);
    let pad = |byte: u8| -> Vec<u8> {
        let mut block = [0; 64];
        block[..secret.len()].copy_from_slice(secret);
        block.iter().map(|key| key ^ byte).collect()
    };
    let inner = Sha256::digest([pad(0x36), text.to_vec()].concat());
    let outer = Sha256::digest([pad(0x5c), inner.to_vec()].concat());
    outer.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn now_seconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}
