//! The `raw` dialect: what one client sends is what every other gets. `docs/protocol/raw.md` describes it.

use bytes::Bytes;

use crate::websocket::{Item, Opcode, encode_frame};
use crate::{Command, Payload, PayloadKind, Verb};

/// Every text and binary message is a publication; its bytes are taken as they are.
pub(super) fn decode<'a>(message: &Item<'_>) -> Command<'a> {
    let payload = match message {
        Item::Text(text) => Payload::text(*text),
        Item::Binary(bytes) | Item::Ping(bytes) | Item::Pong(bytes) => {
            Payload::binary(Bytes::copy_from_slice(bytes))
        }
        Item::Close(_) => Payload::binary(Bytes::new()),
    };
    Command {
        id: None,
        verb: Verb::Relay { payload },
    }
}

/// A binary payload in a binary frame, text and JSON in a text frame.
pub(super) fn encode_payload(payload: &Payload, frame: &mut Vec<u8>) {
    let opcode = match payload.kind() {
        PayloadKind::Binary => Opcode::Binary,
        PayloadKind::Text | PayloadKind::Json => Opcode::Text,
    };
    encode_frame(opcode, payload.as_bytes(), frame);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_pass_verbatim() {
        let text = decode(&Item::Text("héllo"));
        let Verb::Relay { payload } = text.verb else {
            panic!("{text:?}")
        };
        let mut frame = Vec::new();
        encode_payload(&payload, &mut frame);
        assert_eq!(frame, b"\x81\x06h\xc3\xa9llo");

        let binary = decode(&Item::Binary(&[0, 255]));
        let Verb::Relay { payload } = binary.verb else {
            panic!("{binary:?}")
        };
        frame.clear();
        encode_payload(&payload, &mut frame);
        assert_eq!(frame, b"\x82\x02\x00\xff");
    }

    #[test]
    fn what_is_no_message_carries_its_bytes_and_a_close_none() {
        for (item, bytes) in [(Item::Ping(b"p"), b"p".as_slice()), (Item::Close(None), b"")] {
            let Verb::Relay { payload } = decode(&item).verb else {
                panic!("{item:?}")
            };
            assert_eq!((payload.kind(), payload.as_bytes()), (PayloadKind::Binary, bytes));
        }
    }
}
