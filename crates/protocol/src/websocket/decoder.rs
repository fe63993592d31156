//! The decoder: bytes of one direction of a connection in, messages and control frames out.

use super::header::{Header, Reserved};
use super::in_flight::{InFlight, Progress, Received, control_item, take};
use super::{CloseFrame, Inflater, Opcode, Violation, utf8};

/// Which end of the connection the decoder is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// At the server: frames must be masked.
    Server,
    /// At the client: frames must not be masked.
    Client,
}

/// Something whole that the peer sent. It borrows from the input, or from the decoder when it came in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A ping and its payload of at most 125 bytes, which a pong repeats.
    Ping(&'a [u8]),
    /// A pong and its payload of at most 125 bytes.
    Pong(&'a [u8]),
    /// The peer closes. Whatever follows it is to be discarded (section 5.5.1), which is the caller's to do.
    Close(Option<CloseFrame<'a>>),
}

/// The state of one direction of a connection: 16 bytes, plus a box while a frame or message is partial.
#[derive(Debug)]
pub struct Decoder {
    in_flight: Option<Box<InFlight>>,
    role: Role,
}

impl Decoder {
    /// A decoder at the beginning of a connection, after the handshake.
    pub fn new(role: Role) -> Self {
        Self {
            in_flight: None,
            role,
        }
    }

    /// Takes the next item out of `input` and advances `input` past it. `Ok(None)` says that all of `input` is
    /// consumed and that more is needed; call it until then.
    ///
    /// The payloads in `input` are unmasked in place. A frame that lies whole in `input` and is a whole message is
    /// not copied. A message of several frames is refused when what was received of it and what its next frame
    /// announces exceed `message_bytes_max` together, before that frame is received.
    ///
    /// ```
    /// use fanfare_protocol::websocket::{Decoder, Item, Role};
    ///
    /// let mut decoder = Decoder::new(Role::Client);
    /// let mut bytes = *b"\x81\x05Hello\x89\x00\x81\x0acut o";
    /// let mut input = bytes.as_mut_slice();
    /// assert_eq!(decoder.next(&mut input, 1024)?, Some(Item::Text("Hello")));
    /// assert_eq!(decoder.next(&mut input, 1024)?, Some(Item::Ping(b"")));
    /// assert_eq!(decoder.next(&mut input, 1024)?, None);
    /// assert!(input.is_empty() && !decoder.is_idle());
    /// # Ok::<(), fanfare_protocol::websocket::Violation>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first thing the peer did wrong. After it the decoder must not be used: the stream has no meaning any more.
    pub fn next<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
        message_bytes_max: u32,
    ) -> Result<Option<Item<'s>>, Violation> {
        match self.receive(input, message_bytes_max, Reserved::None)? {
            Some(Received::Item(item)) => Ok(Some(item)),
            // Its header was refused already, unless the caller changed its mind within the message.
            Some(Received::Compressed(..)) => Err(Violation::ReservedBits { bits: 0b100 }),
            None => Ok(None),
        }
    }

    /// [`next`](Self::next) for a connection on which compression was agreed on: its messages may be compressed, and
    /// each may be or not.
    ///
    /// A compressed message is kept as it comes and inflated when it is whole, into `inflater`, which any number of
    /// connections may share. Its limit is `message_bytes_max` twice: for the bytes it came in, and for those it is
    /// inflated to, which is checked as they grow.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn next_inflating<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
        message_bytes_max: u32,
        inflater: &'s mut Inflater,
    ) -> Result<Option<Item<'s>>, Violation> {
        inflater.release();
        match self.receive(input, message_bytes_max, Reserved::Compression)? {
            Some(Received::Item(item)) => Ok(Some(item)),
            Some(Received::Compressed(opcode, compressed)) => {
                inflater.inflate(opcode, compressed, message_bytes_max).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Whether nothing is partial: no frame is cut off and no message is open.
    pub fn is_idle(&self) -> bool {
        self.in_flight
            .as_ref()
            .is_none_or(|in_flight| !in_flight.is_partial())
    }

    /// Whether a text or binary message has begun and is not finished. Control frames may come in between.
    pub fn is_message_open(&self) -> bool {
        self.message_bytes().is_some()
    }

    /// Heap bytes held for what is partial. A message that came in pieces counts until the next call of
    /// [`next`](Self::next), which releases it.
    pub fn bytes_held(&self) -> usize {
        self.in_flight
            .as_ref()
            .map_or(0, |in_flight| in_flight.bytes_held())
    }

    fn receive<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
        message_bytes_max: u32,
        reserved: Reserved,
    ) -> Result<Option<Received<'s>>, Violation> {
        self.release_unless_partial();
        loop {
            match self.step(input, message_bytes_max, reserved)? {
                Step::Again => {}
                Step::NeedsInput => return Ok(None),
                Step::InPlace(received) => return Ok(Some(received)),
                Step::InFlight => break,
            }
        }
        self.in_flight
            .as_ref()
            .map_or(Ok(None), |in_flight| in_flight.finished())
    }

    fn step<'i>(
        &mut self,
        input: &mut &'i mut [u8],
        message_bytes_max: u32,
        reserved: Reserved,
    ) -> Result<Step<'i>, Violation> {
        if let Some(in_flight) = &mut self.in_flight
            && in_flight.is_inside_frame()
        {
            return Ok(match in_flight.take_payload(input, message_bytes_max)? {
                Progress::NeedsInput => Step::NeedsInput,
                Progress::FrameDone => Step::Again,
                Progress::ItemDone => Step::InFlight,
            });
        }
        let Some(header) = self.take_header(input, reserved)? else {
            return Ok(Step::NeedsInput);
        };
        self.check_order(header)?;
        self.check_size(header, message_bytes_max)?;
        if is_whole_item(header) && header.payload_bytes <= input.len() as u64 {
            self.release_unless_partial();
            return take_in_place(header, input).map(Step::InPlace);
        }
        self.in_flight.get_or_insert_default().open_frame(header);
        Ok(Step::Again)
    }

    /// The next header: out of the input alone when it can be, else out of what was kept of it and the input.
    fn take_header(
        &mut self,
        input: &mut &mut [u8],
        reserved: Reserved,
    ) -> Result<Option<Header>, Violation> {
        if input.is_empty() {
            return Ok(None);
        }
        if self.in_flight.is_none()
            && let Some((header, end)) = Header::parse(input, self.role, reserved)?
        {
            take(input, end);
            return Ok(Some(header));
        }
        self.in_flight
            .get_or_insert_default()
            .complete_header(input, self.role, reserved)
    }

    /// Checks that continuations continue something and that nothing else interrupts a message (section 5.4).
    fn check_order(&self, header: Header) -> Result<(), Violation> {
        match (header.opcode, self.message_bytes()) {
            (Opcode::Continuation, None) => Err(Violation::UnexpectedContinuation),
            (opcode @ (Opcode::Text | Opcode::Binary), Some(_)) => {
                Err(Violation::InterruptedMessage { opcode })
            }
            _ => Ok(()),
        }
    }

    fn check_size(&self, header: Header, message_bytes_max: u32) -> Result<(), Violation> {
        if header.opcode.is_control() {
            return Ok(());
        }
        let received = self.message_bytes().unwrap_or(0) as u64;
        let message_bytes = received.saturating_add(header.payload_bytes);
        if message_bytes > u64::from(message_bytes_max) {
            return Err(Violation::LongMessage {
                message_bytes,
                message_bytes_max,
            });
        }
        Ok(())
    }

    fn message_bytes(&self) -> Option<usize> {
        self.in_flight
            .as_ref()
            .and_then(|in_flight| in_flight.message_bytes())
    }

    /// Frees what is in flight, a finished message included, unless the rest of something is awaited.
    fn release_unless_partial(&mut self) {
        if self.is_idle() {
            self.in_flight = None;
        }
    }
}

/// What one step of decoding led to. Borrows of the decoder are made after the last step, by the caller.
enum Step<'i> {
    /// A frame or header was dealt with; there may be more.
    Again,
    /// The input is used up.
    NeedsInput,
    /// Something that lies in the input.
    InPlace(Received<'i>),
    /// What has just been finished in flight.
    InFlight,
}

/// Whether a frame is an item of its own rather than a fragment. That no message is open has been checked.
fn is_whole_item(header: Header) -> bool {
    header.is_final && header.opcode != Opcode::Continuation
}

/// Takes an item whose payload lies whole in the input.
fn take_in_place<'i>(mut header: Header, input: &mut &'i mut [u8]) -> Result<Received<'i>, Violation> {
    let payload = input
        .split_off_mut(..header.payload_bytes as usize)
        .unwrap_or_default();
    if let Some(mask) = &mut header.mask {
        mask.apply(payload);
    }
    if header.is_compressed {
        return Ok(Received::Compressed(header.opcode, payload));
    }
    let item = match header.opcode {
        Opcode::Text => utf8::validate(payload)
            .map(Item::Text)
            .map_err(|position| Violation::TextNotUtf8 { position }),
        Opcode::Binary => Ok(Item::Binary(payload)),
        control => control_item(control, payload),
    };
    item.map(Received::Item)
}
