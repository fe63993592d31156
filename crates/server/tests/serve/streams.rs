//! Streams of server-sent events, read with curl.

use crate::client::Client;
use crate::curl::Curl;
use crate::process::Server;

fn publish(server: &Server, topic: &str, data: &str) {
    let mut client = Client::connect(server.address);
    let request = format!(
        "POST /api/publish?topic={topic} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{data}",
        data.len()
    );
    client.send(request.as_bytes());
    assert_eq!(client.response().unwrap().status, 200);
}

#[test]
fn curl_goes_on_where_it_was() {
    const TARGET: &str = "/sse?topic=a&topic=b";
    let server = Server::start(&["--history-frames", "100"]);
    // A topic without history and without subscribers is forgotten.
    publish(&server, "b", "before");
    let mut curl = Curl::start(server.address, TARGET, "");
    curl.expect("welcome");
    curl.expect("subscribed");
    for number in 1..=3 {
        publish(&server, "a", &number.to_string());
        assert_eq!(curl.expect("message")["data"], number.to_string());
    }
    let last_id = curl.last_id.clone();
    drop(curl);
    publish(&server, "b", "{\"x\":\n4}");
    publish(&server, "a", "5");
    let mut curl = Curl::start(server.address, TARGET, &last_id);
    curl.expect("welcome");
    assert_eq!(curl.expect("subscribed")["topics"][1]["recovered"], true);
    let mut missed = [curl.expect("message"), curl.expect("message")];
    missed.sort_by_key(|message| message["topic"].as_str().unwrap().to_owned());
    assert_eq!(
        (&missed[0]["offset"], &missed[1]["offset"]),
        (&4.into(), &2.into())
    );
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(curl.expect("goodbye")["code"], 3000);
    assert!(curl.has_ended_well());
}

#[test]
fn streams_are_counted_and_refused_as_other_connections_are() {
    let server = Server::start(&["--connections-per-user-max", "1", "--dev"]);
    let mut curl = Curl::start(server.address, "/sse?topic=a&user=ann", "");
    curl.expect("welcome");
    server.await_metrics(&[("fanfare_connections", 1)]);
    let mut refused = Curl::start(server.address, "/sse?topic=a&user=ann", "");
    assert!(!refused.has_ended_well());
    server.await_metrics(&[("fanfare_refusals_total{cause=\"connections_per_user\"}", 1)]);
    drop(curl);
    server.await_metrics(&[("fanfare_connections", 0), ("fanfare_closed_by_client_total", 1)]);
}
