//! The TLS of one connection: records in, records out. It owns no socket and, while nothing is under way, no buffer: what
//! is read and what is written goes through buffers that all connections of a shard share.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use rustls::{Error, ServerConfig};

use super::records::{RECORD_CONTENT_MAX, RECORD_OVERHEAD_MAX, Records};
use crate::shard::Written;

/// The state of TLS on a server's side.
pub(crate) struct Session {
    connection: UnbufferedServerConnection,
    /// The beginning of a record, or of a message of the handshake in whole records. rustls keeps no bytes of its own
    /// but places in these, so they are shown to it each time, and first.
    incoming: Vec<u8>,
    /// Records that the socket did not take.
    outgoing: Vec<u8>,
    /// Whether the last byte that was written counts as waiting, because `outgoing` does.
    is_byte_held_back: bool,
    /// Whether the client said that it sends no more.
    is_peer_closed: bool,
    /// Whether nothing more may be written: the end was said, or something broke.
    is_over: bool,
}

impl Session {
    /// A connection on which nothing was said.
    ///
    /// # Errors
    /// The configuration holds what cannot be used.
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self {
            connection: UnbufferedServerConnection::new(config)?,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            is_byte_held_back: false,
            is_peer_closed: false,
            is_over: false,
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The certificate that the client showed, once it has.
    pub(super) fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.connection.peer_certificates()?.first()
    }

    /// Whether the client said that it sends no more. What it sent before is read.
    pub(crate) fn is_peer_closed(&self) -> bool {
        self.is_peer_closed
    }

    /// Bytes of a record that is not whole. At most what is read at once.
    pub(crate) fn partial_bytes(&self) -> usize {
        self.incoming.len()
    }

    /// Bytes of records that wait for the socket. At most one record, and answers to what the client says about TLS.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.outgoing.len()
    }

    /// Reads once, at most `bytes_max` bytes, and puts what they say into `records.plain`. Gives how many were read; 0 is
    /// the end. Their content may be missing still: records are read whole.
    ///
    /// # Errors
    /// The socket's, and `InvalidData` where the client broke TLS. Then an alert waits to be written.
    pub(crate) fn read(
        &mut self,
        socket: &mut impl Read,
        (buffer, bytes_max): (&mut [u8], usize),
        plain: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let kept = self.incoming.len();
        let end = buffer.len().min(kept + bytes_max);
        if kept >= end {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "a handshake message is too long",
            ));
        }
        let count = socket.read(&mut buffer[kept..end])?;
        buffer[..kept].copy_from_slice(&self.incoming);
        let bytes = &mut buffer[..kept + count];
        let used = self.open(bytes, plain).map_err(broken)?;
        self.incoming = bytes[used..].to_vec();
        Ok(count)
    }

    /// Takes in what was read behind [`Session::incoming_mut`]'s bytes.
    ///
    /// # Errors
    /// The client broke TLS. Then an alert waits to be written.
    pub(super) fn open_incoming(&mut self, plain: &mut Vec<u8>) -> Result<(), Error> {
        let mut bytes = std::mem::take(&mut self.incoming);
        let used = self.open(&mut bytes, plain)?;
        if used < bytes.len() {
            bytes.drain(..used);
            self.incoming = bytes;
        }
        Ok(())
    }

    /// Where the door puts what it reads.
    pub(super) fn incoming_mut(&mut self) -> &mut Vec<u8> {
        &mut self.incoming
    }

    /// Opens the whole records at the beginning of `bytes`; gives how many bytes are done with.
    fn open(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>) -> Result<usize, Error> {
        let mut used = 0;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut bytes[used..]);
            let is_done = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(encoding)) => {
                    encode(encoding, &mut self.outgoing);
                    false
                }
                Ok(ConnectionState::TransmitTlsData(transmission)) => {
                    transmission.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.is_peer_closed = true;
                    false
                }
                // More is needed, or nothing more comes. Early data is never accepted.
                Ok(_) => true,
                Err(error) => {
                    self.queue_alert(&mut bytes[used..]);
                    return Err(error);
                }
            };
            used += discard;
            if is_done {
                return Ok(used);
            }
        }
    }

    /// Queues what rustls has to say about what it did not like, after which there is nothing to say. It does not look
    /// at `bytes` again as long as it has something to write, and must not afterwards.
    fn queue_alert(&mut self, bytes: &mut [u8]) {
        self.is_over = true;
        while self.connection.wants_write() {
            match self.connection.process_tls_records(bytes).state {
                Ok(ConnectionState::EncodeTlsData(alert)) => encode(alert, &mut self.outgoing),
                _ => return,
            }
        }
    }

    /// Writes what waits and then, unless the socket is full, as much of `slices` as one record holds. `slices` are what
    /// the outbox gives: they begin with the byte that was held back, if one was.
    ///
    /// What is sealed has its place among the records and cannot be taken back. So it counts as written whether the
    /// socket takes it or not; all but the last byte, which is held back until it did. By that the outbox knows that
    /// something waits, and keeps the frame that it is of, just as if a plain socket had taken a part of it.
    ///
    /// # Errors
    /// The socket's, and `Other` where TLS is over or the keys are used up.
    pub(crate) fn write(
        &mut self,
        socket: &mut impl Write,
        slices: &[IoSlice<'_>],
        records: &mut Records,
    ) -> io::Result<Written> {
        let mut written = self.flush(socket)?;
        if !self.outgoing.is_empty() {
            return Ok(written);
        }
        let skip = usize::from(std::mem::take(&mut self.is_byte_held_back));
        written.bytes = skip;
        let (plain, sealed) = records.prepare(slices, skip);
        if plain.is_empty() {
            return Ok(written);
        }
        let record_bytes = self.seal(plain, sealed)?;
        let taken = Written::of(socket.write(&sealed[..record_bytes]), record_bytes)?;
        written.bytes += plain.len();
        if taken.bytes < record_bytes {
            self.outgoing = sealed[taken.bytes..record_bytes].to_vec();
            self.is_byte_held_back = true;
            written.bytes -= 1;
        }
        written.socket_bytes += taken.bytes;
        written.writes += 1;
        written.is_blocked = taken.is_blocked;
        Ok(written)
    }

    /// Writes what waits, as far as the socket takes it. None of that counts as bytes of the outbox.
    fn flush(&mut self, socket: &mut impl Write) -> io::Result<Written> {
        if self.outgoing.is_empty() {
            return Ok(Written::default());
        }
        let taken = Written::of(socket.write(&self.outgoing), self.outgoing.len())?;
        if taken.bytes < self.outgoing.len() {
            self.outgoing.drain(..taken.bytes);
        } else {
            self.outgoing = Vec::new();
        }
        Ok(Written { bytes: 0, ..taken })
    }

    /// Seals at most [`RECORD_CONTENT_MAX`](super::records::RECORD_CONTENT_MAX) bytes into one record; gives its length.
    fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> io::Result<usize> {
        if self.is_over {
            return Err(io::Error::other("TLS is over on this connection"));
        }
        match self.connection.process_tls_records(&mut self.incoming).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                traffic.encrypt(plain, sealed).map_err(io::Error::other)
            }
            _ => Err(io::Error::other("TLS takes nothing to write now")),
        }
    }

    /// Seals at most one record behind what waits already; gives how many bytes of `plain` are in it.
    ///
    /// # Errors
    /// `Other` where TLS is over or the keys are used up.
    pub(super) fn queue(&mut self, plain: &[u8]) -> io::Result<usize> {
        let plain = &plain[..plain.len().min(RECORD_CONTENT_MAX)];
        let begin = self.outgoing.len();
        let mut outgoing = std::mem::take(&mut self.outgoing);
        outgoing.resize(begin + plain.len() + RECORD_OVERHEAD_MAX, 0);
        let sealed = self.seal(plain, &mut outgoing[begin..]);
        outgoing.truncate(begin + *sealed.as_ref().unwrap_or(&0));
        self.outgoing = outgoing;
        sealed.map(|_| plain.len())
    }

    /// What waits for the socket; the door takes from its front what it wrote.
    pub(super) fn outgoing_mut(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// Says behind what waits that nothing more comes (`close_notify`), unless that was said or nothing may be said.
    pub(super) fn queue_end(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let state = self.connection.process_tls_records(&mut self.incoming).state;
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
            let mut alert = [0; RECORD_OVERHEAD_MAX];
            // It fails where the keys are used up; then the end comes unannounced.
            let length = traffic.queue_close_notify(&mut alert).unwrap_or(0);
            self.outgoing.extend_from_slice(&alert[..length]);
        }
    }

    /// Says that nothing more comes, or why, as far as the socket takes it now. Nothing can be written afterwards.
    pub(crate) fn close(&mut self, socket: &mut impl Write) {
        self.queue_end();
        // Whoever does not take it learns of the end by that of the connection.
        let _ = self.flush(socket);
    }

    /// Lets nothing more be written, because it is not known what was.
    pub(crate) fn abandon(&mut self) {
        self.is_over = true;
        self.outgoing = Vec::new();
    }
}

fn encode(mut message: EncodeTlsData<'_, ServerConnectionData>, outgoing: &mut Vec<u8>) {
    let begin = outgoing.len();
    // Too small a place is an error that tells the size.
    if let Err(EncodeError::InsufficientSize(needed)) = message.encode(&mut []) {
        outgoing.resize(begin + needed.required_size, 0);
        let _ = message.encode(&mut outgoing[begin..]);
    }
}

fn broken(error: Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
