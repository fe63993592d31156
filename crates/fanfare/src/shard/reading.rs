//! From sockets to the hub: read, decode, hand over.

use std::io::{ErrorKind, Read};

use fanfare_hub::Input;
use fanfare_protocol::ConnectionId;
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::websocket::{Compression, Decoder, Inflater, Item, Role, Violation};

use super::mailbox::PUBLICATIONS_MAX;
use super::{READ_BUFFER_BYTES, Shard};

/// Reads per connection and turn: one that sends without pause gets its share and no more.
const READS_PER_TURN: usize = 4;

/// Connections read in one turn.
const CONNECTIONS_PER_TURN: usize = 1024;

/// What a look at a socket showed.
enum Seen {
    /// Nothing more for now; the poll will report the next bytes.
    Drained,
    /// There may be more.
    More,
    /// It is over.
    Gone,
}

impl Shard {
    /// Whether there is something to read and room for what it may publish.
    pub(super) fn has_readable(&self) -> bool {
        !self.readable.is_empty() && self.has_room()
    }

    /// Whether publishers of this shard may go on. One message publishes to 128 topics at most, unless the limit
    /// was raised, so the half that is left is room enough for the message at hand.
    fn has_room(&self) -> bool {
        self.mailbox.publications() < PUBLICATIONS_MAX / 2
    }

    /// Reads from the connections that have something. Gives how many.
    pub(super) fn read_ready(&mut self) -> usize {
        let due = self.readable.len().min(CONNECTIONS_PER_TURN);
        let mut read = 0;
        while read < due && self.has_readable() {
            let Some(id) = self.readable.pop_front() else {
                break;
            };
            read += 1;
            self.read_from(id);
        }
        read
    }

    /// Reads from one connection, within its budget. One whose replies are not drained is not read from; the hub
    /// says when to go on.
    fn read_from(&mut self, id: ConnectionId) {
        let Some(Some(connection)) = self.connections.get_mut(id.slot()).filter(|c| is(c.as_ref(), id))
        else {
            return;
        };
        connection.is_readable = false;
        for _ in 0..READS_PER_TURN {
            if !self.hub.is_readable(id) {
                return;
            }
            if !self.has_room() {
                break;
            }
            match self.read_once(id) {
                Seen::Drained => return,
                Seen::More => {}
                Seen::Gone => return self.handle(Input::Lost(id)),
            }
        }
        self.resume(id);
    }

    /// Puts a connection in the line of those to read.
    pub(super) fn resume(&mut self, id: ConnectionId) {
        if let Some(Some(connection)) = self.connections.get_mut(id.slot())
            && connection.id == id
            && !std::mem::replace(&mut connection.is_readable, true)
        {
            self.readable.push_back(id);
        }
    }

    fn read_once(&mut self, id: ConnectionId) -> Seen {
        let Some(Some(connection)) = self.connections.get_mut(id.slot()).filter(|c| is(c.as_ref(), id))
        else {
            return Seen::Drained;
        };
        if let Some(mut stash) = connection.stash.take() {
            self.take_bytes(id, &mut stash);
            return Seen::More;
        }
        let is_hung_up = connection.is_hung_up;
        match connection.socket.read(&mut self.read_buffer) {
            Ok(0) => Seen::Gone,
            Ok(count) => {
                let mut buffer = std::mem::take(&mut self.read_buffer);
                self.take_bytes(id, &mut buffer[..count]);
                self.read_buffer = buffer;
                if count == READ_BUFFER_BYTES || is_hung_up {
                    Seen::More
                } else {
                    Seen::Drained
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Seen::Drained,
            Err(error) if error.kind() == ErrorKind::Interrupted => Seen::More,
            Err(_) => Seen::Gone,
        }
    }

    /// Decodes what came from a connection and hands it to the hub, message by message.
    pub(super) fn take_bytes(&mut self, id: ConnectionId, bytes: &mut [u8]) {
        let Some(Some(connection)) = self.connections.get_mut(id.slot()) else {
            return;
        };
        self.hub.heard(self.now, id);
        if connection.is_discarding {
            return;
        }
        // What decodes leaves its place meanwhile, because what it lends goes through the whole shard.
        let mut source = Source {
            decoder: std::mem::replace(&mut connection.decoder, Decoder::new(Role::Server)),
            compression: connection.compression,
            inflater: std::mem::take(&mut self.inflater),
            taken_bytes: 0,
        };
        let mut input = bytes;
        let violation = self.take_items(id, &mut source, &mut input);
        self.inflater = source.inflater;
        if let Some(Some(connection)) = self.connections.get_mut(id.slot())
            && connection.id == id
        {
            connection.is_discarding = violation.is_some();
            if violation.is_none() {
                connection.decoder = source.decoder;
                connection.stash = (!input.is_empty()).then(|| Box::from(&*input));
            }
        }
        if !input.is_empty() {
            self.resume(id);
        }
        self.violations.extend(violation.map(|cause| (id, cause)));
    }

    /// Gives why the connection must be closed, if a frame broke the protocol. Stops early when there is no room for
    /// what further messages may publish, when the connection's replies are not being read, or when it had its share.
    #[expect(clippy::mut_mut, reason = "the decoder advances the slice it is given")]
    fn take_items(
        &mut self,
        id: ConnectionId,
        source: &mut Source,
        input: &mut &mut [u8],
    ) -> Option<Disconnect> {
        loop {
            let may_go_on =
                self.has_room() && self.hub.is_readable(id) && source.taken_bytes < READ_BUFFER_BYTES;
            if !may_go_on && !input.is_empty() {
                return None;
            }
            match source.next(input, self.options.limits.message_bytes_max) {
                Ok(None) => return None,
                Ok(Some(item)) => self.take_item(id, &item),
                Err(violation) => {
                    tracing::debug!(connection = %id, %violation, "a frame breaks the protocol");
                    return Some(cause_of(violation.close_code()));
                }
            }
        }
    }

    fn take_item(&mut self, id: ConnectionId, item: &Item<'_>) {
        match item {
            Item::Text(_) | Item::Binary(_) => {
                let Some(Some(connection)) = self.connections.get(id.slot()) else {
                    return;
                };
                self.handle(Input::Message(id, connection.dialect.decode(item)));
            }
            Item::Ping(payload) => self.handle(Input::Ping(id, payload)),
            Item::Pong(_) => {}
            Item::Close(close) => self.handle(Input::PeerClose(id, close.as_ref().map(|close| close.code))),
        }
    }
}

/// What turns the bytes of one connection into messages.
struct Source {
    decoder: Decoder,
    compression: Compression,
    /// The shard's.
    inflater: Inflater,
    /// Bytes of the messages so far. What was read may be inflated to a thousand times as much, but no connection
    /// gets more of a turn by that.
    taken_bytes: usize,
}

impl Source {
    #[expect(clippy::mut_mut, reason = "the decoder advances the slice it is given")]
    fn next<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
        message_bytes_max: u32,
    ) -> Result<Option<Item<'s>>, Violation> {
        let next = match self.compression {
            Compression::None => self.decoder.next(input, message_bytes_max)?,
            Compression::FromClient | Compression::Both => {
                self.decoder
                    .next_inflating(input, message_bytes_max, &mut self.inflater)?
            }
        };
        self.taken_bytes += match &next {
            Some(Item::Text(text)) => text.len(),
            Some(Item::Binary(bytes)) => bytes.len(),
            _ => 0,
        };
        Ok(next)
    }
}

fn is(connection: Option<&super::Connection>, id: ConnectionId) -> bool {
    connection.is_some_and(|connection| connection.id == id)
}

/// The row of the table for a close code of the codec.
fn cause_of(close_code: u16) -> Disconnect {
    match close_code {
        1007 => Disconnect::InvalidData,
        1009 => Disconnect::MessageTooBig,
        _ => Disconnect::ProtocolError,
    }
}
