//! The library as browsers load it, beside a page that speaks the `json` dialect with what every browser has.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use fanfare_testing::{Browsers, Screen, Tab};
use serde_json::{Value, json};

use crate::house::House;
use crate::sdk::Sdk;

/// What both pages have: a list of what was heard, and a function to publish with.
const CENTRIFUGE: &str = "
    const client = new Centrifuge('ws://ADDRESS/connection/websocket');
    const room = client.newSubscription('room');
    room.on('publication', ({data}) => heard.push(data));
    room.on('subscribed', () => { state = 'subscribed'; });
    room.subscribe();
    client.connect();
    const publish = (data) => { room.publish(data); };
";

const DIALECT_JSON: &str = "
    const socket = new WebSocket('ws://ADDRESS/ws?topic=room');
    socket.onmessage = ({data}) => {
        const told = JSON.parse(data);
        if (told.type === 'subscribed') state = 'subscribed';
        if (told.type === 'message') heard.push(told.data);
    };
    const publish = (data) => { socket.send(JSON.stringify({type: 'publish', topic: 'room', data})); };
";

/// A page of the application's, from its own web server, in a browser of its own; subscribed.
async fn open(browsers: &Browsers, house: &House, library: &str, script: &str) -> Tab {
    let script = script.replace("ADDRESS", &house.program.address().to_string());
    let html = format!(
        "<!doctype html><meta charset=utf-8><link rel=icon href='data:,'><script>{library}</script>\
         <script>const heard = []; let state = ''; {script}</script>"
    );
    let tab = browsers.open(Screen::Desktop).await;
    tab.go(&serve_once(html)).await;
    tab.until_found("return state", "subscribed").await;
    tab
}

/// Serves one page to whoever comes next; gives its address.
fn serve_once(html: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let length = html.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{html}").as_bytes()).unwrap();
    });
    address
}

#[tokio::test]
async fn a_page_with_the_library_and_one_without_are_in_one_room() {
    let house = House::open();
    let browsers = Browsers::start();
    let library = Sdk::JavaScript
        .install()
        .join("node_modules/centrifuge/dist/centrifuge.js");
    let library = std::fs::read_to_string(library).unwrap();
    let with = open(&browsers, &house, &library, CENTRIFUGE).await;
    let without = open(&browsers, &house, "", DIALECT_JSON).await;
    let mut expected = Vec::new();
    for round in 0..3 {
        for (tab, name) in [(&with, "with"), (&without, "without")] {
            let data = json!({"from": name, "round": round, "text": "<b>文字\n"});
            let _: Value = tab.read(&format!("publish({data}); return null")).await;
            expected.push(data);
            for tab in [&with, &without] {
                tab.until_found("return String(heard.length)", &expected.len().to_string())
                    .await;
            }
        }
    }
    for tab in [&with, &without] {
        assert_eq!(tab.read::<Vec<Value>>("return heard").await, expected);
        assert_eq!(tab.complaints().await, [""; 0]);
    }
}
