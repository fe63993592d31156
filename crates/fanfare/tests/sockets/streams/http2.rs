//! Streams over HTTP/2, with a client of the h2 crate.

use axum::http::{Request, StatusCode};
use h2::RecvStream;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Event, Reader, keeping, on_axum};
use crate::client::{DEADLINE, eventually};
use crate::hosts::bridges;
use crate::server::Server;

/// The next event.
async fn next(body: &mut RecvStream, reader: &mut Reader) -> Event {
    loop {
        if let Some(event) = reader.next() {
            return event;
        }
        let bytes = timeout(DEADLINE, body.data()).await.unwrap().unwrap().unwrap();
        reader.take(&bytes);
        body.flow_control().release_capacity(bytes.len()).unwrap();
    }
}

#[test]
fn many_streams_share_a_connection_and_each_goes_on_where_it_was() {
    let server = Server::hosted(keeping(), on_axum);
    server.runtime.block_on(async {
        let socket = TcpStream::connect(server.address).await.unwrap();
        let (client, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let mut streams = Vec::new();
        let mut last_id = String::new();
        for round in 1..=3 {
            let mut request = Request::get("http://localhost/sse?topic=a");
            if !last_id.is_empty() {
                request = request.header("last-event-id", &last_id);
            }
            let (response, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
            let response = response.await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert!(!response.headers().contains_key("connection"));
            let (mut body, mut reader) = (response.into_body(), Reader::default());
            for name in ["welcome", "subscribed"] {
                assert_eq!(next(&mut body, &mut reader).await.name, name);
            }
            if round > 1 {
                assert_eq!(next(&mut body, &mut reader).await.data["offset"], round - 1);
            }
            reader.last_id.clone_into(&mut last_id);
            server
                .fanfare
                .publish("a", fanfare::Payload::text("x"))
                .await
                .unwrap();
            assert_eq!(next(&mut body, &mut reader).await.data["offset"], round);
            streams.push(body);
        }
        assert_eq!(bridges(&server), 3);
        streams.pop();
        eventually("one is gone", || bridges(&server) == 2);
        drop((streams, client));
    });
    server.assert_released();
    eventually("no bridge is left", || bridges(&server) == 0);
}
