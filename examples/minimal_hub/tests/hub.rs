//! The example as its README has it tried.

use std::time::Instant;

use fanfare_client::{Client, ConnectOptions, Push};
use fanfare_testing::{DEADLINE, LOOK_AGAIN, Program, Socket};

#[tokio::test]
async fn who_is_registered_gets_what_is_broadcast() {
    let program = Program::start(env!("CARGO_BIN_EXE_example-minimal-hub"));
    let mut client = Client::connect(&program.websocket_url("/ws"), ConnectOptions::default())
        .await
        .unwrap();
    let mut socket = Socket::open(&program, "/ws");
    assert_eq!(socket.next_json()["type"], "welcome");
    until_connected(&program, 2).await;

    let answer = program.request("POST", "/broadcast", &[], "hello, everyone");
    assert_eq!((answer.status, &*answer.body), (200, ""));
    let push = socket.next_of("message");
    assert_eq!(
        (&push["topic"], &push["data"]),
        (&"$all".into(), &"hello, everyone".into())
    );
    let publication = loop {
        if let Push::Publication(publication) = client.next().await.unwrap() {
            break publication;
        }
    };
    assert_eq!(publication.payload.as_text(), r#""hello, everyone""#);
    // Only the server speaks here.
    let refused = client.publish("anything", "hello").await.unwrap_err().to_string();
    assert!(refused.contains("forbidden"), "{refused}");

    socket.close();
    until_connected(&program, 1).await;
    client.close().await;
    until_connected(&program, 0).await;
}

#[test]
fn who_is_connected_is_told_of_the_end() {
    let mut program = Program::start(env!("CARGO_BIN_EXE_example-minimal-hub"));
    let mut socket = Socket::open(&program, "/ws");
    assert_eq!(socket.next_json()["type"], "welcome");
    program.interrupt();
    let goodbye = socket.next_of("goodbye");
    assert_eq!(
        (&goodbye["code"], &goodbye["reconnect"]),
        (&3000.into(), &true.into())
    );
    assert_eq!(socket.closed(), 3000);
    program.ended();
}

async fn until_connected(program: &Program, count: usize) {
    let (wanted, deadline) = (format!("{count} connected\n"), Instant::now() + DEADLINE);
    loop {
        let found = program.request("GET", "/", &[], "").body;
        if found == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?}, not {wanted:?}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
