//! Clients that break Centrifuge's protocol: bytes that are no Protobuf, JSON that means harm, commands out of their order.
//! Each is closed with one code, or told one error, and nobody else notices.

use serde_json::{Value, json};

use crate::client::{BINARY, Client, TEXT, masked};
use crate::process::Server;
use crate::story::{Bystanders, story};

const JSON: &str = "/connection/websocket";
const PROTOBUF: &str = "/connection/websocket?format=protobuf";

/// A command `connect` in Protobuf, whose id is 1, behind its length.
const CONNECT: &[u8] = b"\x04\x08\x01\x22\x00";

/// Somebody who has come in.
fn enter(server: &Server, path: &str) -> Client {
    let mut client = Client::open(server.address, path);
    if path == JSON {
        assert!(client.ask(json!({"id": 1, "connect": {}}))["connect"].is_object());
    } else {
        client.send(&masked(BINARY, CONNECT));
        let reply = client.frame().expect("a reply").payload;
        assert_eq!(
            reply[1..4],
            *b"\x08\x01\x2a",
            "the result of `connect`: {reply:?}"
        );
    }
    client
}

/// How it ends for somebody who says this.
fn end_of(mut client: Client, first: u8, said: &[u8]) -> u16 {
    client.send(&masked(first, said));
    client.ending().code
}

fn bracketed(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn what_is_no_protobuf_ends_the_connection() {
    let no_commands: [&[u8]; 12] = [
        b"",
        // Lengths of more than ten bytes, of more than there can be, and beyond the frame.
        &[0xff; 11],
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x7f\x08\x02",
        // A good command, and behind it half a length.
        b"\x06\x08\x02\x52\x02\x0a\x00\xff",
        // A varint that does not end, and a wire type that is none.
        b"\x02\x08\xff",
        b"\x03\x08\x02\x0f",
        // A request that is longer than its command, and one that is no message.
        b"\x04\x08\x02\x2a\x7f",
        b"\x04\x08\x02\x28\x01",
        // A channel that is no text.
        b"\x07\x08\x02\x2a\x03\x0a\x01\xff",
        // An id and nothing that is known; an answer to a ping that there was not.
        b"\x05\x08\x02\xfa\x01\x00",
        b"\x00",
    ];
    story(&[], |server| {
        let mut bystanders = Bystanders::open(server);
        for said in no_commands {
            let codes = [
                end_of(Client::open(server.address, PROTOBUF), BINARY, said),
                end_of(enter(server, PROTOBUF), BINARY, said),
            ];
            assert_eq!(codes, [3501, 3501], "{said:x?}");
        }
        bystanders.assert_well();
    });
}

#[test]
fn json_that_means_harm_ends_the_connection() {
    let deep = bracketed(20_000);
    let digits = "9".repeat(50_000);
    let texts = [
        deep.clone(),
        format!(r#"{{"id":2,"subscribe":{deep}}}"#),
        format!(r#"{{"id":{digits},"rpc":{{}}}}"#),
        format!(r#"{{"id":2,"subscribe":{{"channel":"a","offset":{digits}}}}}"#),
        r#"{"id":NaN,"rpc":{}}"#.to_owned(),
        r#"{"id":2,"id":3,"rpc":{}}"#.to_owned(),
        r#"{"id":2,"subscribe":{"channel":"\ud800"}}"#.to_owned(),
        r#"{"id":2,"rpc":{}}{"id":3,"rpc":{}}"#.to_owned(),
        r#"[{"id":2,"rpc":{}}]"#.to_owned(),
        "\u{feff}{\"id\":2,\"rpc\":{}}".to_owned(),
        "null".to_owned(),
        "{".to_owned(),
        String::new(),
    ];
    story(&[], |server| {
        let mut bystanders = Bystanders::open(server);
        for text in &texts {
            let code = end_of(enter(server, JSON), TEXT, text.as_bytes());
            assert_eq!(code, 3501, "{text:.100}");
        }
        // What is published is passed on as it is, however deep: nobody here looks into it.
        let mut client = enter(server, JSON);
        client.send_text(&format!(
            r#"{{"id":2,"publish":{{"channel":"a","data":{deep}}}}}"#
        ));
        assert_eq!(client.json(), json!({"id": 2, "publish": {}}));
        bystanders.assert_well();
    });
}

#[test]
fn commands_out_of_their_order_have_one_exact_end_each() {
    let before = [
        r#"{"id":1,"subscribe":{"channel":"a"}}"#,
        r#"{"id":1,"publish":{"channel":"a","data":1}}"#,
        r#"{"id":1}"#,
        r#"{"connect":{}}"#,
        "{}",
    ];
    let behind = [
        (r#"{"id":2,"connect":{}}"#, 3501),
        (r#"{"id":2,"ping":{}}"#, 3501),
        (r#"{"id":2,"frob":{}}"#, 3501),
        (r#"{"id":2}"#, 3501),
        (r#"{"id":-1,"rpc":{}}"#, 3501),
        (r#"{"id":1.5,"rpc":{}}"#, 3501),
        (r#"{"id":4294967296,"rpc":{}}"#, 3501),
        (r#"{"id":"2","rpc":{}}"#, 3501),
        (r#"{"rpc":{}}"#, 3501),
        ("{}", 3501),
        (r#"{"id":2,"subscribe":{"channel":""}}"#, 3501),
        (r#"{"id":2,"subscribe":{"channel":"a","delta":"x"}}"#, 3501),
        (r#"{"id":2,"refresh":{"token":"x"}}"#, 3500),
        (r#"{"send":{"data":1}}"#, 3508),
        (r#"{"id":2,"send":{"data":1}}"#, 3508),
    ];
    story(&[], |server| {
        let mut bystanders = Bystanders::open(server);
        for text in before {
            let code = end_of(Client::open(server.address, JSON), TEXT, text.as_bytes());
            assert_eq!(code, 3501, "{text}");
        }
        for (text, code) in behind {
            assert_eq!(end_of(enter(server, JSON), TEXT, text.as_bytes()), code, "{text}");
        }
        bystanders.assert_well();
    });
}

#[test]
fn commands_that_cannot_be_done_are_errors_and_ids_are_repeated() {
    let long = "x".repeat(256);
    let errors = [
        (json!({"subscribe": {"channel": long}}), 107),
        (json!({"subscribe": {"channel": "a", "type": 1}}), 108),
        (json!({"publish": {"channel": "a"}}), 107),
        (json!({"publish": {"channel": "a", "data": 1, "type": 1}}), 108),
        (
            json!({"history": {"channel": "a", "since": {"offset": 0}, "reverse": true}}),
            107,
        ),
        (json!({"rpc": {"method": "m"}}), 108),
        (json!({"sub_refresh": {"channel": "a"}}), 103),
        (json!({"sub_refresh": {"channel": "a", "type": 1}}), 108),
    ];
    story(&[], |server| {
        let mut bystanders = Bystanders::open(server);
        let mut client = enter(server, JSON);
        let ask = |client: &mut Client, id: u32, command: &Value| {
            let mut command = command.clone();
            command["id"] = json!(id);
            client.ask(command)
        };
        for (command, code) in &errors {
            // The greatest id there is, and the same one again.
            for _ in 0..2 {
                let reply = ask(&mut client, u32::MAX, command);
                let told = (&reply["id"], &reply["error"]["code"]);
                assert_eq!(told, (&json!(u32::MAX), &json!(code)), "{command}: {reply}");
            }
        }
        let subscribed = ask(&mut client, u32::MAX, &json!({"subscribe": {"channel": "a"}}));
        assert!(subscribed["subscribe"].is_object(), "{subscribed}");
        bystanders.assert_well();
    });
}
