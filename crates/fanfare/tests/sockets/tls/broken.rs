//! What TLS says about itself on an open connection: new keys, negotiation anew, and parts of both.

use super::Secured;

#[test]
fn new_keys_of_the_client_are_used() {
    let secured = Secured::start();
    let mut client = secured.open_json("/ws");
    client.subscribe(&["a"]);
    for n in 0..5 {
        client.tls.as_mut().unwrap().refresh_traffic_keys().unwrap();
        client.send_json(serde_json::json!({"type": "publish", "topic": "a", "data": n}));
        assert_eq!(client.expect("message")["data"], n);
    }
}
