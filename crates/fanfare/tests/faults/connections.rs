//! A panic in the code of one connection takes that connection, and is counted.

use fanfare::Limits;
use serde_json::json;

use crate::client::{Client, TEXT, eventually};
use crate::server::Server;

/// A text frame whose mask changes nothing, so that what is in it is seen in the raw bytes too.
fn bare_frame(text: &str) -> Vec<u8> {
    assert!(text.len() < 126);
    let mut frame = vec![TEXT, 0x80 | text.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// A server that does not wait long for an answer to its close frame, which it does not read after a panic.
fn impatient() -> Server {
    Server::with_limits(Limits {
        close_timeout_ms: 200,
        ..Limits::default()
    })
}

/// Two on the same shard who talk to each other: the one who is to fail, and one who must not notice.
fn pair(server: &Server) -> (Client, Client) {
    let (mut victim, _) = server.open_in(0, "/ws?topic=a");
    let (mut witness, _) = server.open_in(0, "/ws?topic=a");
    victim.expect("subscribed");
    witness.expect("subscribed");
    (victim, witness)
}

fn goes_on(witness: &mut Client) {
    let command = json!({"type": "publish", "topic": "a", "data": "still here", "id": 1});
    assert_eq!(witness.ask_past_messages(command)["type"], "published");
}

fn panics(server: &Server) -> Vec<(&'static str, u64)> {
    server.fanfare.stats().panics
}

#[test]
fn a_panic_while_reading_decoding_or_understanding_closes_only_that_connection() {
    for place in ["reading", "decoding", "dialect"] {
        let server = impatient();
        let (mut victim, mut witness) = pair(&server);
        victim.send(&bare_frame(&format!(r#"{{"type":"ping","x":"fault:{place}"}}"#)));
        let ending = victim.ending();
        assert_eq!((ending.code, ending.reason.as_str()), (1011, "internal error"));
        assert_eq!(ending.goodbye.unwrap()["reconnect"], true);
        goes_on(&mut witness);
        eventually("it is counted", || panics(&server) == [(place, 1)]);
        assert_eq!(server.disconnects(1011), 1);
        assert_eq!(server.fanfare.stats().shard_restarts, 0);
        drop((victim, witness));
        server.assert_empty();
    }
}

#[test]
fn what_was_said_before_the_panic_is_done_and_nothing_after_it() {
    let server = impatient();
    let (mut victim, mut witness) = pair(&server);
    let publish = |word: &str| bare_frame(&format!(r#"{{"type":"publish","topic":"a","data":"{word}"}}"#));
    let mut frames = publish("before");
    frames.extend(publish("fault:dialect"));
    frames.extend(publish("after"));
    victim.send(&frames);
    assert_eq!(victim.ending().code, 1011);
    assert_eq!(witness.expect("message")["data"], "before");
    witness.send_json(json!({"type": "publish", "topic": "a", "data": "still here"}));
    assert_eq!(witness.expect("message")["data"], "still here");
}

#[test]
fn a_panic_while_a_connection_is_taken_in_drops_it_alone() {
    let server = Server::start();
    let (_, mut witness) = pair(&server);
    let before = server.fanfare.connection_count();
    let mut request = crate::client::upgrade_request("/ws", &[]).into_bytes();
    request.extend(bare_frame("fault:adopting"));
    let mut victim = Client::connect(server.address);
    victim.send(&request);
    victim.time_to_end();
    eventually("it is counted", || panics(&server) == [("adopting", 1)]);
    eventually("it holds no place", || {
        server.fanfare.connection_count() <= before
    });
    goes_on(&mut witness);
    Client::open_json(server.address, "/ws");
}

#[test]
fn a_panic_while_writing_drops_the_connection_alone() {
    let server = Server::start();
    let (mut witness, _) = server.open_in(0, "/ws?topic=a");
    witness.expect("subscribed");
    let (mut victim, _) = server.open_in(0, "/ws?topic=b");
    victim.expect("subscribed");
    let command = json!({"type": "publish", "topic": "b", "data": "fault:writing"});
    witness.send_json(command);
    victim.time_to_end();
    eventually("it is counted", || panics(&server) == [("writing", 1)]);
    goes_on(&mut witness);
    drop((victim, witness));
    server.assert_empty();
}
