//! The yardstick: one thread that writes every message to every subscriber of its topic, one `write()` each.
//!
//! It is what the kernel asks for a delivery. It has no queue: a subscriber that cannot take a whole frame at once is
//! dropped. It shows its counters on `/metrics` as Fanfare does. It is no WebSocket server for others: the upgrade is
//! granted to everyone, without `Sec-WebSocket-Accept`.

use crate::wire::{self, FrameParser};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// Serves until the process is ended.
pub(crate) fn run(listen: SocketAddr) -> io::Result<()> {
    let mut server = Bare::bind(listen)?;
    println!("listening on http://{}", server.listener.local_addr()?);
    loop {
        server.turn()?;
    }
}

#[derive(Debug)]
struct Bare {
    listener: TcpListener,
    poll: Poll,
    events: Option<Events>,
    buffer: Vec<u8>,
    clients: Slab<Client>,
    /// The keys of all subscribers, by topic.
    topics: HashMap<String, Vec<usize>>,
    deliveries: u64,
}

#[derive(Debug)]
struct Client {
    stream: TcpStream,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The request so far.
    Head(Vec<u8>),
    Open {
        parser: FrameParser,
        topic: String,
    },
}

impl Bare {
    fn bind(listen: SocketAddr) -> io::Result<Self> {
        let mut listener = TcpListener::bind(listen)?;
        let poll = Poll::new()?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            listener,
            poll,
            events: Some(Events::with_capacity(1024)),
            buffer: vec![0; 64 << 10],
            clients: Slab::new(),
            topics: HashMap::new(),
            deliveries: 0,
        })
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut events = self.events.take().unwrap_or_else(|| Events::with_capacity(1024));
        match self.poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => self.accept()?,
                Token(key) => self.serve(key, event.is_read_closed()),
            }
        }
        self.events = Some(events);
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Out of descriptors, most likely; the poll does not tell again of those that wait.
                Err(_) => {
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                }
            };
            stream.set_nodelay(true)?;
            let entry = self.clients.vacant_entry();
            self.poll
                .registry()
                .register(&mut stream, Token(entry.key()), Interest::READABLE)?;
            entry.insert(Client {
                stream,
                stage: Stage::Head(Vec::new()),
            });
        }
    }

    /// Reads what there is; when the client has ended the poll does not tell again, so its end is read as well.
    fn serve(&mut self, key: usize, has_ended: bool) {
        while let Some(client) = self.clients.get_mut(key) {
            let count = match client.stream.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => return self.remove(key),
                Ok(count) => count,
            };
            let is_kept = if matches!(client.stage, Stage::Head(_)) {
                self.on_head(key, count)
            } else {
                self.on_frames(key, count)
            };
            if is_kept.is_err() {
                return self.remove(key);
            }
            if count < self.buffer.len() && !has_ended {
                return;
            }
        }
    }

    /// Answers a request when it is whole; nothing but the upgrade and `/metrics` is known.
    fn on_head(&mut self, key: usize, count: usize) -> io::Result<()> {
        let client = &mut self.clients[key];
        let Stage::Head(head) = &mut client.stage else {
            return Ok(());
        };
        head.extend_from_slice(&self.buffer[..count]);
        if !head.ends_with(b"\r\n\r\n") {
            return if head.len() < HEAD_BYTES_MAX {
                Ok(())
            } else {
                Err(io::ErrorKind::InvalidData.into())
            };
        }
        let head = String::from_utf8_lossy(head).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let Some(query) = path.strip_prefix("/ws?") else {
            client
                .stream
                .write_all(answer(path, self.deliveries).as_bytes())?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        };
        client.stream.write_all(UPGRADE)?;
        let topic = parameter(query, "topic").unwrap_or_default().to_owned();
        if parameter(query, "role") != Some("publisher") {
            self.topics.entry(topic.clone()).or_default().push(key);
        }
        client.stage = Stage::Open {
            parser: FrameParser::default(),
            topic,
        };
        Ok(())
    }

    fn on_frames(&mut self, key: usize, count: usize) -> io::Result<()> {
        let client = &mut self.clients[key];
        let Stage::Open { parser, topic } = &mut client.stage else {
            return Ok(());
        };
        let topic = topic.clone();
        let (mut frames, mut pongs, mut is_closing) = (Vec::new(), Vec::new(), false);
        parser.feed(&mut self.buffer[..count], |frame| match frame.opcode {
            wire::TEXT | wire::BINARY => {
                let mut out = Vec::with_capacity(frame.payload.len() + 10);
                wire::push_unmasked(&mut out, frame.opcode, frame.payload);
                frames.push(out);
            }
            wire::PING => wire::push_unmasked(&mut pongs, wire::PONG, frame.payload),
            wire::CLOSE => is_closing = true,
            _ => {}
        })?;
        if !pongs.is_empty() {
            client.stream.write_all(&pongs)?;
        }
        for frame in frames {
            self.fan_out(&topic, &frame);
        }
        if is_closing {
            Err(io::ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }

    fn fan_out(&mut self, topic: &str, frame: &[u8]) {
        let Some(subscribers) = self.topics.get(topic) else {
            return;
        };
        let mut dropped = Vec::new();
        for &key in subscribers {
            match self.clients[key].stream.write(frame) {
                Ok(count) if count == frame.len() => self.deliveries += 1,
                _ => dropped.push(key),
            }
        }
        for key in dropped {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: usize) {
        let Some(client) = self.clients.try_remove(key) else {
            return;
        };
        let Stage::Open { topic, .. } = client.stage else {
            return;
        };
        if let Some(subscribers) = self.topics.get_mut(&topic) {
            subscribers.retain(|&subscriber| subscriber != key);
        }
    }
}

fn answer(path: &str, deliveries: u64) -> String {
    if path != "/metrics" {
        return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned();
    }
    // Every delivery is a write of its own, that is what this server is for.
    let page = format!("fanfare_deliveries_total {deliveries}\nfanfare_writes_total {deliveries}\n");
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    )
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

const LISTENER: Token = Token(usize::MAX - 1);
const HEAD_BYTES_MAX: usize = 16 << 10;
const UPGRADE: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_their_whole_name() {
        let query = "dialect=raw&topics=no&topic=bench&role=publisher";
        assert_eq!(parameter(query, "topic"), Some("bench"));
        assert_eq!(parameter(query, "role"), Some("publisher"));
        assert_eq!(parameter(query, "ole"), None);
    }

    #[test]
    fn counters_are_shown_as_fanfare_shows_them() {
        assert!(answer("/metrics", 7).ends_with("fanfare_deliveries_total 7\nfanfare_writes_total 7\n"));
        assert!(answer("/", 7).starts_with("HTTP/1.1 404"));
    }
}
