//! From sockets to the hub: read, decode, hand over.

use std::io::{self, ErrorKind};

use fanfare_hub::{Input, Received};
use fanfare_protocol::ConnectionId;
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::websocket::{
    Compression, Decoder, Inflater, Item, Opcode, Role, Violation, encode_masked_frame,
};

use super::{Connection, PanicPlace, READ_BUFFER_BYTES, Shard, attempt, fault};

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
        self.mailbox.has_room()
    }

    /// Whose bytes wait for the shard is not silent, however long it has no room for what they may publish. A peer
    /// that is gone has nothing new here: what it sent last is read once there is room, and then its silence counts.
    pub(super) fn hear_unread(&mut self) {
        for &id in &self.readable {
            self.hub.heard(self.now, id);
        }
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

    /// Reads from one connection, once in a turn: one that sends without pause gets its share and no more. One whose
    /// replies are not drained, or that sends more than it may, is not read from; the hub says when to go on.
    fn read_from(&mut self, id: ConnectionId) {
        let Some(Some(connection)) = self.connections.get_mut(id.slot()).filter(|c| is(c.as_ref(), id))
        else {
            return;
        };
        connection.is_readable = false;
        let bytes_max = self.hub.reading_room(self.now, id).min(READ_BUFFER_BYTES);
        if bytes_max == 0 {
            return;
        }
        if !self.has_room() {
            return self.resume(id);
        }
        match self.read_once(id, bytes_max) {
            Seen::Drained => {}
            Seen::More => self.resume(id),
            Seen::Gone => self.handle(Input::Lost(id)),
        }
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

    fn read_once(&mut self, id: ConnectionId, bytes_max: usize) -> Seen {
        let Some(Some(connection)) = self.connections.get_mut(id.slot()).filter(|c| is(c.as_ref(), id))
        else {
            return Seen::Drained;
        };
        if let Some(mut stash) = connection.stash.take() {
            self.take_bytes(id, &mut stash, 0);
            return Seen::More;
        }
        if connection.is_at_end() {
            return Seen::Gone;
        }
        let is_hung_up = connection.is_hung_up;
        let bytes_max = bytes_max.min(READ_BUFFER_BYTES - connection.partial_record_bytes());
        match self.read_socket(id, bytes_max) {
            Ok(0) => Seen::Gone,
            Ok(count) if count == bytes_max || is_hung_up || self.is_at_end(id) => Seen::More,
            Ok(_) => Seen::Drained,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Seen::Drained,
            Err(error) if error.kind() == ErrorKind::Interrupted => Seen::More,
            Err(error) => {
                if error.kind() == ErrorKind::InvalidData {
                    self.snapshot.tls_errors += 1;
                    tracing::debug!(connection = %id, %error, "what came breaks TLS");
                }
                Seen::Gone
            }
        }
    }

    /// Whether a client has said in TLS that it sends no more, of which the poll knows nothing.
    fn is_at_end(&self, id: ConnectionId) -> bool {
        let connection = self.connections.get(id.slot()).and_then(Option::as_ref);
        connection.is_some_and(Connection::is_at_end)
    }

    /// Reads once and takes in what came; gives how many bytes that were on the wire. After a panic there is nothing to
    /// wait for: the connection is closed.
    fn read_socket(&mut self, id: ConnectionId, bytes_max: usize) -> io::Result<usize> {
        let Some(Some(connection)) = self.connections.get_mut(id.slot()) else {
            return Err(ErrorKind::WouldBlock.into());
        };
        // What was read leaves its place meanwhile, because what it says goes through the whole shard.
        let mut buffer = std::mem::take(&mut self.read_buffer);
        let mut opened = std::mem::take(&mut self.records.opened);
        let (has_tls, is_stream) = (connection.tls.is_some(), connection.dialect.is_stream());
        self.sealed_bytes -= connection.sealed_bytes();
        let read = attempt(&mut self.snapshot.panics, PanicPlace::Reading, || {
            let count = connection.read(&mut buffer, bytes_max, &mut opened)?;
            let bytes = if has_tls { &opened[..] } else { &buffer[..count] };
            fault::trip(PanicPlace::Reading, bytes);
            Ok(count)
        });
        self.sealed_bytes += connection.sealed_bytes();
        match read {
            Some(Ok(0) | Err(_)) => {}
            Some(Ok(count)) if is_stream => self.take_noise(id, count),
            Some(Ok(count)) if has_tls => self.take_bytes(id, &mut opened, count),
            Some(Ok(count)) => self.take_bytes(id, &mut buffer[..count], count),
            None => {
                self.receiving_bytes -= connection.receiving_bytes;
                connection.discard();
                self.violations.push((id, Disconnect::Internal));
            }
        }
        opened.clear();
        (self.read_buffer, self.records.opened) = (buffer, opened);
        read.unwrap_or_else(|| Err(ErrorKind::WouldBlock.into()))
    }

    /// Takes in what came from a connection, in so many bytes on the wire.
    pub(super) fn take_bytes(&mut self, id: ConnectionId, bytes: &mut [u8], count: usize) {
        let decoded = self.decode(id, bytes);
        let received = Received {
            bytes: count + decoded.bytes,
            ..decoded
        };
        self.hub.received(self.now, id, received);
    }

    /// Takes note that so many bytes came where a client has nothing to say.
    fn take_noise(&mut self, id: ConnectionId, count: usize) {
        let received = Received {
            bytes: count,
            ..Received::default()
        };
        self.hub.received(self.now, id, received);
    }

    /// Takes in what came with a connection: what the client sent behind its request, and perhaps its end.
    pub(super) fn take_early(&mut self, id: ConnectionId, early: &mut [u8]) {
        let Some(Some(connection)) = self.connections.get(id.slot()).filter(|c| is(c.as_ref(), id)) else {
            return;
        };
        if !early.is_empty() || connection.partial_record_bytes() > 0 {
            self.take_bytes(id, early, early.len());
        }
        if self.is_at_end(id) {
            self.resume(id);
        }
    }

    /// Decodes what came from a connection and hands it to the hub, message by message.
    fn decode(&mut self, id: ConnectionId, bytes: &mut [u8]) -> Received {
        let mut decoded = Received::default();
        let Some(Some(connection)) = self.connections.get_mut(id.slot()) else {
            return decoded;
        };
        if connection.is_discarding {
            return decoded;
        }
        let is_record_partial = !connection.dialect.is_stream() && connection.partial_record_bytes() > 0;
        // What decodes leaves its place meanwhile, because what it lends goes through the whole shard.
        let mut source = Source {
            decoder: std::mem::replace(&mut connection.decoder, Decoder::new(Role::Server)),
            compression: connection.compression,
            inflater: std::mem::take(&mut self.inflater),
            taken_bytes: 0,
        };
        let (mut input, mut left) = (bytes, Vec::new());
        let violation = self.take_items(id, (&mut source, &mut input, &mut left), &mut decoded.is_anew);
        left.extend_from_slice(input);
        let is_more = !left.is_empty();
        decoded.is_partial = violation.is_none() && (is_record_partial || !source.decoder.is_idle());
        decoded.bytes = source.inflated_bytes();
        if violation != Some(Disconnect::Internal) {
            self.inflater = source.inflater;
        }
        if let Some(Some(connection)) = self.connections.get_mut(id.slot())
            && connection.id == id
        {
            connection.is_discarding = violation.is_some();
            if violation.is_none() {
                connection.decoder = source.decoder;
                connection.stash = (!left.is_empty()).then(|| left.into_boxed_slice());
            }
        }
        if is_more {
            self.resume(id);
        }
        self.violations.extend(violation.map(|cause| (id, cause)));
        self.count_receiving(id);
        decoded
    }

    /// Counts what is held for a connection, and closes it when it asks for more than all together may hold.
    pub(super) fn count_receiving(&mut self, id: ConnectionId) {
        let Some(Some(connection)) = self.connections.get_mut(id.slot()).filter(|c| is(c.as_ref(), id))
        else {
            return;
        };
        let earlier = connection.receiving_bytes;
        let now = connection.count_receiving();
        self.receiving_bytes = self.receiving_bytes - earlier + now;
        if now > earlier && self.receiving_bytes > self.receiving_bytes_max {
            tracing::debug!(connection = %id, bytes = now, "no room for a message, its connection is closed");
            connection.discard();
            self.receiving_bytes -= now;
            self.violations.push((id, Disconnect::Shed));
        }
    }

    /// Gives why the connection must be closed, if a frame broke the protocol or our code broke on it, and sets
    /// `is_anew` once nothing is partial any more of what was before. Stops early when there is no room for what
    /// further messages may publish, when the hub does not want to hear of the connection now, or when it had its share.
    #[expect(clippy::mut_mut, reason = "the decoder advances the slice it is given")]
    fn take_items(
        &mut self,
        id: ConnectionId,
        (source, input, left): (&mut Source, &mut &mut [u8], &mut Vec<u8>),
        is_anew: &mut bool,
    ) -> Option<Disconnect> {
        loop {
            let may_go_on =
                self.has_room() && self.hub.is_readable(id) && source.taken_bytes < READ_BUFFER_BYTES;
            if !may_go_on && !input.is_empty() {
                return None;
            }
            let bytes_max = self.hub.message_bytes_max(id);
            let (lender, input) = (&mut *source, &mut *input);
            let decoded = attempt(&mut self.snapshot.panics, PanicPlace::Decoding, move || {
                fault::trip(PanicPlace::Decoding, input);
                lender.next(input, bytes_max)
            });
            match decoded {
                None => return Some(Disconnect::Internal),
                Some(Ok(None)) => return None,
                Some(Ok(Some(item))) => {
                    let rest = match self.take_item(id, item) {
                        Ok(rest) => rest,
                        Err(cause) => return Some(cause),
                    };
                    let rest = rest.map(as_frame);
                    *is_anew |= !source.decoder.is_message_open();
                    if let Some(rest) = rest {
                        *left = rest;
                        return None;
                    }
                }
                Some(Err(violation)) => {
                    tracing::debug!(connection = %id, %violation, "a frame breaks the protocol");
                    return Some(cause_of(violation.close_code()));
                }
            }
        }
    }

    /// Takes in as much of a message as may be taken in now, and gives the rest.
    ///
    /// # Errors
    /// Why the connection must be closed: its message could not be read.
    fn take_item<'i>(&mut self, id: ConnectionId, item: Item<'i>) -> Result<Option<Item<'i>>, Disconnect> {
        match item {
            Item::Text(_) | Item::Binary(_) => return self.take_message(id, item),
            Item::Ping(payload) => self.handle(Input::Ping(id, payload)),
            Item::Pong(_) => self.handle(Input::Pong(id)),
            Item::Close(close) => self.handle(Input::PeerClose(id, close.as_ref().map(|close| close.code))),
        }
        Ok(None)
    }

    /// Takes in the commands of a message, one after the other, until the hub wants to hear no more of them now.
    fn take_message<'i>(
        &mut self,
        id: ConnectionId,
        message: Item<'i>,
    ) -> Result<Option<Item<'i>>, Disconnect> {
        let connection = self.connections.get(id.slot()).and_then(Option::as_ref);
        let Some(dialect) = connection.map(|connection| connection.dialect) else {
            return Ok(None);
        };
        let mut message = message;
        loop {
            let (first, rest) = dialect.split(message);
            let command = attempt(&mut self.snapshot.panics, PanicPlace::Dialect, || {
                fault::trip(PanicPlace::Dialect, bytes_of(&first));
                dialect.decode(&first)
            });
            let Some(command) = command else {
                return Err(Disconnect::Internal);
            };
            self.hub.handle(self.now, Input::Message(id, command));
            fault::trip(PanicPlace::Hub, bytes_of(&first));
            self.settle_outputs();
            match rest {
                Some(rest) if self.has_room() && self.hub.is_readable(id) => message = rest,
                rest => return Ok(rest),
            }
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
    /// What was made of compressed bytes counts as well: a client may make much of little.
    fn inflated_bytes(&self) -> usize {
        match self.compression {
            Compression::None => 0,
            Compression::FromClient | Compression::Both => self.taken_bytes,
        }
    }

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

fn is(connection: Option<&Connection>, id: ConnectionId) -> bool {
    connection.is_some_and(|connection| connection.id == id)
}

/// The rest of a message as a message of its own, as if the client had sent it so.
fn as_frame(rest: Item<'_>) -> Vec<u8> {
    let opcode = match rest {
        Item::Text(_) => Opcode::Text,
        _ => Opcode::Binary,
    };
    let mut frame = Vec::new();
    encode_masked_frame(opcode, bytes_of(&rest), [0; 4], &mut frame);
    frame
}

/// The payload of a message.
fn bytes_of<'a>(item: &Item<'a>) -> &'a [u8] {
    match item {
        Item::Text(text) => text.as_bytes(),
        Item::Binary(bytes) => bytes,
        _ => &[],
    }
}

/// The row of the table for a close code of the codec.
fn cause_of(close_code: u16) -> Disconnect {
    match close_code {
        1007 => Disconnect::InvalidData,
        1009 => Disconnect::MessageTooBig,
        _ => Disconnect::ProtocolError,
    }
}
