//! Many connections behind one poll, which all say and hear something.

use crate::client::{Connection, contains};
use crate::wire::{self, TEXT};
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::time::Duration;

/// The connections, by their number.
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
}

impl Crowd {
    pub(crate) fn new(mut connections: Vec<Connection>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        for (number, connection) in connections.iter_mut().enumerate() {
            poll.registry()
                .register(&mut connection.stream, Token(number), interest)?;
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            connections,
            buffer: vec![0; 64 << 10],
        })
    }

    /// Sends texts, as far as the socket takes them; the rest follows.
    pub(crate) fn say(&mut self, number: usize, texts: impl Iterator<Item = String>) -> io::Result<()> {
        let mut frames = Vec::new();
        for text in texts {
            wire::push_masked(&mut frames, TEXT, text.as_bytes(), MASK);
        }
        self.connections[number].send(&frames)
    }

    /// Reads what comes within `wait` and hands every payload to `hear`, with the number of its connection. An error when
    /// the server closes one.
    pub(crate) fn hear(&mut self, wait: Duration, mut hear: impl FnMut(usize, &[u8])) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &self.events {
            let number = event.token().0;
            let connection = &mut self.connections[number];
            connection.flush()?;
            connection.read(&mut self.buffer, |payload| hear(number, payload))?;
        }
        Ok(())
    }
}

/// What a text is about, without reading it whole.
pub(crate) fn is_of_type(payload: &[u8], kind: &str) -> bool {
    contains(payload, format!("\"type\":\"{kind}\"").as_bytes())
}

const MASK: [u8; 4] = [0x1f, 0x83, 0x5e, 0x07];
