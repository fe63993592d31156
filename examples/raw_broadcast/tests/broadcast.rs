//! The example as its README has it tried.

use fanfare_testing::{Program, Socket};
use tungstenite::Message;

#[test]
fn every_byte_reaches_everybody_as_it_was_sent() {
    let mut program = Program::start(env!("CARGO_BIN_EXE_example-raw-broadcast"));
    let mut ada = Socket::open(&program, "/ws");
    let mut ben = Socket::open(&program, "/ws?topic=elsewhere&dialect=json");
    // Who hears itself is there; then it has heard all that follows.
    ben.send("ben is here");
    assert_eq!(ben.next_message(), "ben is here".into());

    let every_byte: Vec<u8> = (0..=255).collect();
    let sent = [
        Message::text("not json {"),
        Message::binary(every_byte),
        Message::text(r#"{"type":"subscribe","topic":"x"}"#),
        Message::text(""),
        Message::text("好"),
    ];
    for message in &sent {
        ada.send(message.clone());
    }
    for message in sent {
        assert_eq!(ben.next_message(), message);
    }
    program.interrupt();
    assert_eq!([ada.closed(), ben.closed()], [3000, 3000]);
    program.ended();
}

#[test]
fn another_dialect_is_not_spoken_here() {
    let program = Program::start(env!("CARGO_BIN_EXE_example-raw-broadcast"));
    let json = [("Sec-WebSocket-Protocol", "fanfare.json.v1")];
    assert_eq!(Socket::try_open(&program, "/ws", &json).unwrap_err(), 400);
}
