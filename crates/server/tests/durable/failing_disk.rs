//! A disk whose writes or syncs fail. FAULTS 61. The errors are given by strace, in place of what the system would say.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::house::{House, LIVE, end, post, publish, publish_by_socket, resume, stands, texts};
use crate::process::Server;

/// Starts the program where a system call fails for the file that is appended to.
fn start_failing(house: &mut House, fault: &str) -> Server {
    let (segment, trace) = (house.last_segment(), house.path("trace"));
    house.start_by(|house| {
        let inject = format!("inject={fault}");
        let runner = [
            "strace",
            "-D",
            "-f",
            "-qq",
            "-o",
            trace.to_str().unwrap(),
            "-P",
            segment.to_str().unwrap(),
            "-e",
            "trace=fdatasync,pwrite64,ftruncate",
            "-e",
            &inject,
        ];
        house.run_by(&runner, &house.command())
    })
}

/// A program that has published once, and was started again with this fault.
fn failing(name: &str, fault: &str) -> (House, Server) {
    let mut house = House::new(name, &LIVE);
    let server = house.start();
    publish(&server, "a", "text 0");
    end(server, Signal::TERM);
    let server = start_failing(&mut house, fault);
    (house, server)
}

/// Publishes a text with a key over the API; the status and the code of the refusal, if it is one.
fn by_api(server: &Server, text: &str) -> (u16, Value) {
    let (status, answer) = post(
        server,
        &json!({"topic": "a", "data": text, "idempotency_key": text}),
    );
    (status, answer["error"]["code"].clone())
}

/// The same over a WebSocket, as the API would say it.
fn by_socket(server: &Server, text: &str) -> (u16, Value) {
    let (mut client, _) = crate::client::Client::open_json(server.address, "/ws");
    let answer =
        client.ask(json!({"type": "publish", "topic": "a", "data": text, "idempotency_key": text, "id": 1}));
    let status = match answer["temporary"].as_bool() {
        None => 200,
        Some(true) => 503,
        Some(false) => 500,
    };
    (status, answer["code"].clone())
}

type Publish = fn(&Server, &str) -> (u16, Value);

/// Publishes until that is refused: how many were not, and how it was.
fn until_refused(server: &Server, publish: Publish) -> (usize, (u16, Value)) {
    for number in 1..20 {
        let answer = publish(server, &format!("text {number}"));
        if answer.0 != 200 {
            return (number, answer);
        }
    }
    panic!("nothing fails");
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("text {number}")).collect()
}

/// What the program asked of the system behind the first error.
fn behind_the_error(house: &House) -> String {
    let trace = fs::read_to_string(house.path("trace")).unwrap();
    let at = trace.find("EIO").expect("there was an error");
    let line = trace[at..].find('\n').map_or(trace.len(), |end| at + end);
    trace[line..].to_owned()
}

#[test]
fn a_sync_that_fails_is_not_tried_again_and_nothing_is_taken_before_a_restart() {
    for (name, publish_by) in [("sync-socket", by_socket as Publish), ("sync-api", by_api)] {
        let (mut house, server) = failing(name, "fdatasync:error=EIO:when=4+");
        let place = stands(&server, "a");
        let (answered, refusal) = until_refused(&server, publish_by);
        assert_eq!(refusal, (500, json!("outcome_unknown")));
        assert!(answered > 1, "the disk failed before anything was published");
        // And from then on.
        for publish_by in [by_socket, by_api] {
            assert_eq!(publish_by(&server, "later"), (503, json!("unavailable")));
        }
        let ready = server.get("/ready");
        assert_eq!(
            (ready.status, ready.body.as_str()),
            (503, "the disk of the data directory failed\n")
        );
        assert_eq!(server.metric("fanfare_log_failed"), 1);
        house.await_log("durable topics take nothing more");
        // What is there is read, and other topics go on.
        assert_eq!(texts(&server, "a"), numbered(answered));
        let (told, mut client) = resume(&server, "a", &place);
        assert_eq!(told["recovered"], true);
        assert_eq!(client.expect("message")["data"], "text 1");
        assert_eq!(publish_by_socket(&server, "live", "still")["type"], "published");
        publish(&server, "live", "here");
        end(server, Signal::TERM);
        assert_eq!(behind_the_error(&house).matches("fdatasync").count(), 0);
        assert_eq!(behind_the_error(&house).matches("pwrite64").count(), 0);
        let server = house.start();
        let found = texts(&server, "a");
        assert!(
            found == numbered(answered) || found == numbered(answered + 1),
            "{found:?}"
        );
        assert_eq!(stands(&server, "a").0, place.0);
        // Whoever was told that nobody knows says it again.
        assert_eq!(by_api(&server, &format!("text {answered}")).0, 200);
        assert_eq!(texts(&server, "a"), numbered(answered + 1));
        assert_eq!(server.get("/ready").status, 200);
    }
}

#[test]
fn a_write_that_fails_is_refused_and_leaves_nothing_behind() {
    for (name, publish_by) in [("write-socket", by_socket as Publish), ("write-api", by_api)] {
        let (mut house, server) = failing(name, "pwrite64:error=EIO:when=4");
        let place = stands(&server, "a");
        let (answered, refusal) = until_refused(&server, publish_by);
        assert_eq!(refusal, (503, json!("unavailable")));
        assert_eq!(server.metric("fanfare_log_failed"), 0);
        assert_eq!(server.get("/ready").status, 200);
        assert_eq!(texts(&server, "a"), numbered(answered));
        // It may be said again at once, and is next.
        assert_eq!(publish_by(&server, &format!("text {answered}")).0, 200);
        end(server, Signal::KILL);
        let before = house.log().len();
        let server = house.start();
        assert_eq!(texts(&server, "a"), numbered(answered + 1));
        assert_eq!(stands(&server, "a"), (place.0, answered as u64 + 1));
        end(server, Signal::TERM);
        assert_eq!(&house.log()[before..], "", "nothing was cut off");
    }
}
