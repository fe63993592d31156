//! permessage-deflate on real sockets: who agreed on it, who is sent what, and what is not put up with.

use fanfare::{Compression, Limits, Listed, Options};
use fanfare_protocol::websocket::{Decoder, Deflater, Inflater, Item, Opcode, Role, encode_frame};
use serde_json::{Value, json};

use crate::client::{Client, Frame, PING, TEXT, eventually, masked, parse, unmasked, upgrade_request};
use crate::server::{Server, options};

/// The first byte of a compressed text frame.
const COMPRESSED: u8 = 0xC1;

/// One shard, so that what is encoded once is counted once.
fn server() -> Server {
    Server::with(Options {
        shards: 1,
        compression: true,
        limits: Limits {
            close_timeout_ms: 200,
            ..Limits::default()
        },
        ..options()
    })
}

/// Opens a connection with these offers; gives what the server agreed on.
fn offering(server: &Server, target: &str, offers: &[&str]) -> (Client, Option<String>) {
    let lines: Vec<String> = offers
        .iter()
        .map(|offer| format!("Sec-WebSocket-Extensions: {offer}"))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut client = Client::connect(server.address);
    client.send(upgrade_request(target, &lines).as_bytes());
    let response = client.response().expect("an answer");
    assert_eq!(response.status, 101, "{offers:?}");
    let agreed = response.header("sec-websocket-extensions").map(str::to_owned);
    (client, agreed)
}

/// A client of topic `a` with compression, welcomed and subscribed.
fn member(server: &Server, offer: &str) -> Client {
    let (mut client, agreed) = offering(server, "/ws?topic=a", &[offer]);
    assert!(agreed.is_some(), "{offer}");
    client.expect("welcome");
    client.expect("subscribed");
    client
}

/// The compressed payload of a text that gets shorter by that.
fn compressed(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(Opcode::Text, text.as_bytes(), &mut bytes);
    assert!(Deflater::default().compress_frame(&mut bytes, 0));
    parse(&bytes).unwrap().0.payload
}

fn inflated(frame: &Frame) -> Value {
    let mut bytes = unmasked(frame.first, &frame.payload);
    let (mut decoder, mut inflater) = (Decoder::new(Role::Client), Inflater::default());
    match decoder.next_inflating(&mut bytes.as_mut_slice(), 1 << 20, &mut inflater) {
        Ok(Some(Item::Text(text))) => serde_json::from_str(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn long_text() -> String {
    "so much ado about nothing ".repeat(40)
}

fn publish(text: &str) -> String {
    json!({"type": "publish", "topic": "a", "data": text}).to_string()
}

/// The value of a counter on the metrics page.
fn counted(server: &Server, name: &str) -> u64 {
    let page = server.fanfare.metrics();
    let value = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix("_total "));
    value.unwrap().parse().unwrap()
}

const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

#[test]
fn the_first_acceptable_offer_is_answered_and_a_bad_one_is_no_obstacle() {
    let server = server();
    let long_list = "permessage-deflate; client_max_window_bits, ".repeat(100) + "permessage-deflate; mem=9";
    for (offers, agreed) in [
        (vec!["permessage-deflate; client_max_window_bits"], Some(AGREED)),
        (
            vec![
                "x; y=1",
                "permessage-deflate; server_max_window_bits=16, permessage-deflate",
            ],
            Some(AGREED),
        ),
        (vec!["permessage-deflate; server_max_window_bits=7"], None),
        (vec!["permessage-deflate; server_no_context_takeover=1"], None),
        (vec!["permessage-deflate;;", "\"", "=", ",,,"], None),
        (vec![long_list.as_str()], Some(AGREED)),
        (vec![], None),
    ] {
        let (mut client, answer) = offering(&server, "/ws", &offers);
        assert_eq!(answer.as_deref(), agreed, "{offers:?}");
        client.expect("welcome");
    }
}

#[test]
fn nothing_is_agreed_on_where_it_is_switched_off() {
    let server = Server::start();
    let (mut client, agreed) = offering(&server, "/ws", &["permessage-deflate"]);
    assert_eq!(agreed, None);
    client.expect("welcome");
    client.send(&masked(COMPRESSED, &compressed(&long_text())));
    assert_eq!(client.ending().code, 1002);
}

#[test]
fn who_agreed_and_who_did_not_receive_the_same() {
    let server = server();
    let (mut plain, _) = Client::open_json(server.address, "/ws?topic=a");
    plain.expect("subscribed");
    let mut narrow = member(&server, "permessage-deflate; server_max_window_bits=9");
    let mut members = [
        member(&server, "permessage-deflate"),
        member(&server, "permessage-deflate; server_max_window_bits=15"),
    ];
    let text = long_text();
    members[0].send(&masked(COMPRESSED, &compressed(&publish(&text))));
    narrow.send(&masked(COMPRESSED, &compressed(&publish(&text))));
    for client in [&mut plain, &mut narrow] {
        for _ in 0..2 {
            assert_eq!(client.expect("message")["data"], text);
        }
    }
    for member in &mut members {
        for _ in 0..2 {
            let frame = member.message().unwrap();
            assert_eq!(frame.first, COMPRESSED);
            assert!(frame.payload.len() < text.len() / 5);
            assert_eq!(inflated(&frame)["data"], text);
        }
    }
    members[0].send_text(&publish("short"));
    assert_eq!(members[1].message().unwrap().first, TEXT, "it would gain nothing");

    eventually("it is counted", || counted(&server, "fanfare_publications") == 3);
    assert_eq!(counted(&server, "fanfare_compressed"), 2, "once for both members");
    assert_eq!(counted(&server, "fanfare_encoded"), 6, "once per format");
    assert!(
        counted(&server, "fanfare_compressed_after_bytes")
            < counted(&server, "fanfare_compressed_before_bytes") / 5
    );
}

#[test]
fn messages_of_many_clients_are_inflated_apart() {
    let server = server();
    let mut one = member(&server, "permessage-deflate");
    let mut other = member(&server, "permessage-deflate");
    let texts = [long_text(), "another text ".repeat(40)];
    let [first, second] = [0, 1].map(|at| compressed(&publish(&texts[at])));
    let (begin, end) = first.split_at(first.len() / 2);
    one.send(&masked(0x41, begin));
    other.send(&masked(COMPRESSED, &second));
    assert_eq!(inflated(&one.message().unwrap())["data"], texts[1]);
    one.send(&masked(0x80, end));
    for client in [&mut one, &mut other] {
        let frame = std::iter::repeat_with(|| client.message().unwrap())
            .find(|frame| inflated(frame)["data"] == texts[0]);
        assert!(frame.is_some());
    }
}

#[test]
fn what_cannot_be_inflated_or_is_no_place_for_it_closes_with_the_right_code() {
    let server = server();
    let bomb = compressed(&" ".repeat(4 << 20));
    assert!(bomb.len() < 64 << 10, "{} bytes", bomb.len());
    let (begin, end) = bomb.split_at(bomb.len() / 2);
    let fragments = [masked(0x41, begin), masked(0x80, end)].concat();
    // One block without compression.
    let no_text = [0x00, 0x01, 0x00, 0xfe, 0xff, 0xff, 0x00];
    let cut_off = &compressed(&long_text())[..20];
    for (what, bytes, code) in [
        ("noise", masked(COMPRESSED, b"\xff\xff\xff"), 1007),
        ("no block", masked(COMPRESSED, b""), 1007),
        ("half a message", masked(COMPRESSED, cut_off), 1007),
        ("no UTF-8 within", masked(COMPRESSED, &no_text), 1007),
        ("a bomb", masked(COMPRESSED, &bomb), 1009),
        ("a bomb in fragments", fragments, 1009),
        ("a compressed ping", masked(PING | 0x40, b""), 1002),
        (
            "a continuation that begins",
            [masked(0x41, begin), masked(0xc0, end)].concat(),
            1002,
        ),
        ("another bit", masked(0xa1, b"{}"), 1002),
    ] {
        let mut client = member(&server, "permessage-deflate");
        client.send(&bytes);
        let ending = client.ending();
        assert_eq!(ending.code, code, "{what}");
        assert!(ending.goodbye.is_some(), "{what}");
    }
    // What they left behind is in nobody's way.
    let mut client = member(&server, "permessage-deflate");
    client.send(&masked(COMPRESSED, &compressed(&publish(&long_text()))));
    assert_eq!(inflated(&client.message().unwrap())["data"], long_text());
    drop(client);
    server.assert_empty();
}

#[test]
fn small_messages_that_inflate_to_long_ones_get_no_more_of_a_turn() {
    const MESSAGES: usize = 120;
    let server = server();
    let mut client = member(&server, "permessage-deflate");
    let ping = compressed(&format!(r#"{{"type":"ping","id":1{}}}"#, " ".repeat(60_000)));
    let before = turns(&server);
    // All of it fits into one read.
    client.send(&masked(COMPRESSED, &ping).repeat(MESSAGES));
    for _ in 0..MESSAGES {
        client.expect("pong");
    }
    // Two messages to a read and four reads to a turn; the last turn is counted when it has ended.
    let taken = turns(&server) - before;
    assert!(taken >= MESSAGES as u64 / 8 - 1, "{taken} turns");
}

fn turns(server: &Server) -> u64 {
    let page = server.fanfare.metrics();
    let count = page
        .lines()
        .find_map(|line| line.strip_prefix("fanfare_turn_duration_seconds_count "));
    count.unwrap().parse().unwrap()
}

#[test]
fn the_list_of_connections_tells_who_agreed() {
    let server = server();
    let offers: [&[&str]; 3] = [
        &[],
        &["permessage-deflate"],
        &["permessage-deflate; server_max_window_bits=8"],
    ];
    let clients = offers.map(|offers| {
        let (mut client, _) = offering(&server, "/ws", offers);
        client.expect("welcome");
        client
    });
    let page = server
        .runtime
        .block_on(server.fanfare.connections(Listed::All, 0, 100))
        .unwrap();
    let mut agreed: Vec<_> = page
        .connections
        .iter()
        .map(|row| row.compression.name())
        .collect();
    agreed.sort_unstable();
    assert_eq!(
        agreed,
        [Compression::Both, Compression::FromClient, Compression::None].map(Compression::name)
    );
    drop(clients);
}
