//! One socket and what is needed to read from it.

use std::io::{self, Read as _};
use std::sync::Arc;

use fanfare_hub::Opened;
use fanfare_protocol::ConnectionId;
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::websocket::{Compression, Decoder, Role};
use mio::net::TcpStream;

use super::{ShardOptions, Transport};
use crate::door::Place;
use crate::entrant::Entrant;
use crate::tls::Session;

/// A connection as its shard sees it. What waits to be written is the hub's.
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    /// Its TLS, if it has any.
    pub(super) tls: Option<Box<Session>>,
    pub(super) id: ConnectionId,
    pub(super) decoder: Decoder,
    pub(super) dialect: Dialect,
    pub(super) compression: Compression,
    /// Bytes that were read when there was no room for what they ask; decoded before more is read.
    pub(super) stash: Option<Box<[u8]>>,
    /// Bytes held for what it has begun to send, as last counted.
    pub(super) receiving_bytes: usize,
    /// Whether it stands in the line of those to read.
    pub(super) is_readable: bool,
    /// Whether the poll reported the other end closed: read until that is seen.
    pub(super) is_hung_up: bool,
    /// Whether what it says is thrown away: a frame broke the protocol, or there is nothing for it to say.
    pub(super) is_discarding: bool,
    /// Its drop takes the connection out of the counts of its address and user.
    pub(super) place: Option<Box<Place>>,
    /// The request that it came with: all of it until it has said hello, where it does, then what is kept.
    pub(super) entrant: Option<Arc<Entrant>>,
}

impl Connection {
    /// Makes the socket ready.
    pub(super) fn new(
        transport: Transport,
        opened: &Opened,
        (place, entrant): (Option<Box<Place>>, Option<Arc<Entrant>>),
        options: &ShardOptions,
    ) -> io::Result<Self> {
        let (socket, tls) = transport.prepare(options)?;
        Ok(Self {
            socket: TcpStream::from_std(socket),
            tls,
            id: opened.connection,
            decoder: Decoder::new(Role::Server),
            dialect: opened.dialect,
            compression: opened.compression,
            stash: None,
            receiving_bytes: 0,
            is_readable: false,
            is_hung_up: false,
            is_discarding: opened.dialect.is_stream() && !opened.dialect.is_hailed(),
            place,
            entrant,
        })
    }

    /// Reads once, at most `bytes_max` bytes. With TLS their content is put into `opened`, and may be missing still.
    ///
    /// # Errors
    /// The socket's, and `InvalidData` where the client broke TLS.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        bytes_max: usize,
        opened: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let is_deaf = self.is_deaf();
        match &mut self.tls {
            Some(tls) if !is_deaf => tls.read(&mut self.socket, (buffer, bytes_max), opened),
            _ => self.socket.read(&mut buffer[..bytes_max]),
        }
    }

    /// Whether what comes from the socket means nothing: in a stream clients say nothing.
    pub(super) fn is_deaf(&self) -> bool {
        self.is_discarding || self.dialect.is_stream()
    }

    /// Counts the bytes held for what was begun and not finished, and for what was read and not decoded.
    pub(super) fn count_receiving(&mut self) -> usize {
        let stashed = self.stash.as_ref().map_or(0, |stash| stash.len());
        self.receiving_bytes = self.decoder.bytes_held() + stashed + self.partial_record_bytes();
        self.receiving_bytes
    }

    /// Bytes of a TLS record that is not whole.
    pub(super) fn partial_record_bytes(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.partial_bytes())
    }

    /// Bytes of TLS records that the socket did not take.
    pub(super) fn sealed_bytes(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.waiting_bytes())
    }

    /// Whether the client has said in TLS that it sends no more, and all it sent is decoded.
    pub(super) fn is_at_end(&self) -> bool {
        self.stash.is_none() && self.tls.as_ref().is_some_and(|tls| tls.is_peer_closed())
    }

    /// Throws away what was begun, and whatever comes.
    pub(super) fn discard(&mut self) {
        self.decoder = Decoder::new(Role::Server);
        self.stash = None;
        self.receiving_bytes = 0;
        self.is_discarding = true;
    }
}
