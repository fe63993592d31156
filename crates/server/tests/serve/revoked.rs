//! What was revoked, over the end of the process.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::process::{PROMPT, Server, end_within, serve};
use crate::tokens::{Directory, knock, make, post, secret, start};

/// The answer to a call of the API that revokes.
fn revoke(server: &Server, what: &Value) -> (u16, Value) {
    let answer = post(server, "/api/revoke", None, what);
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

fn kill(mut server: Server) {
    server.signal(Signal::KILL);
    server.end_within(PROMPT);
}

fn is_refused(server: &Server, token: &str) -> bool {
    match knock(server, token).0.status {
        401 => true,
        101 => false,
        status => panic!("a token is answered with {status}"),
    }
}

#[test]
fn what_was_revoked_is_refused_after_a_kill_where_there_is_a_data_directory() {
    let (key, directory) = (secret(), Directory::new("revoked"));
    let data = directory.path("data");
    let arguments = ["--token-key", &key, "--data", &data];
    let [one, two, three] = ["one", "two", "three"].map(|id| make(&key, &["--id", id]));
    let server = start(&arguments);
    assert_eq!(revoke(&server, &json!({"token": "one"})).0, 200);
    kill(server);
    let server = start(&arguments);
    assert!(is_refused(&server, &one) && !is_refused(&server, &two));
    assert_eq!(revoke(&server, &json!({"token": "two"})).0, 200);
    kill(server);
    let server = start(&arguments);
    assert!(is_refused(&server, &one) && is_refused(&server, &two) && !is_refused(&server, &three));
    assert_eq!(revoke(&server, &json!({"user": "ada"})).0, 200);
    kill(server);
    let server = start(&arguments);
    assert!(is_refused(&server, &three));
    server.await_metrics(&[("fanfare_tokens_revoked", 3)]);
}

#[test]
fn without_a_data_directory_a_restart_forgets_what_was_revoked() {
    let key = secret();
    let token = make(&key, &["--id", "one"]);
    let server = start(&["--token-key", &key]);
    assert_eq!(revoke(&server, &json!({"token": "one"})).0, 200);
    assert!(is_refused(&server, &token));
    kill(server);
    assert!(!is_refused(&start(&["--token-key", &key]), &token));
}

#[test]
fn what_cannot_be_stored_holds_and_its_caller_is_told_that_a_restart_would_forget_it() {
    let (key, directory) = (secret(), Directory::new("unstored"));
    let data = directory.path("data");
    let arguments = ["--token-key", &key, "--data", &data];
    let token = make(&key, &["--id", "one"]);
    let server = start(&arguments);
    let (_, mut client) = knock(&server, &token);
    client.expect("welcome");
    // No file can be made where a folder is.
    let in_the_way = directory.path("data/revoked-tokens.state.tmp");
    fs::create_dir(&in_the_way).unwrap();
    let (status, answer) = revoke(&server, &json!({"token": "one"}));
    assert_eq!(
        (status, &answer["error"]["code"]),
        (500, &"revocation_not_stored".into())
    );
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("a restart would forget") && message.contains("revoked-tokens.state"),
        "{message}"
    );
    assert_eq!(client.ending().code, 3504);
    assert!(is_refused(&server, &token));
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(revoke(&server, &json!({"token": "one"})).0, 200);
    kill(server);
    assert!(is_refused(&start(&arguments), &token));
}

#[test]
fn a_server_does_not_start_with_a_damaged_table_of_revoked_tokens() {
    let (key, directory) = (secret(), Directory::new("damaged"));
    let data = directory.path("data");
    let arguments = ["--open=false", "--token-key", &key, "--data", &data];
    let server = Server::start(&arguments);
    assert_eq!(revoke(&server, &json!({"token": "one"})).0, 200);
    kill(server);
    let file = directory.path("data/revoked-tokens.state");
    let mut content = fs::read(&file).unwrap();
    *content.last_mut().unwrap() ^= 1;
    fs::write(&file, content).unwrap();
    let mut command = serve(&arguments);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(!end_within(&mut child, PROMPT).success());
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(
        told.contains("revoked-tokens.state in the data directory is damaged: put back a copy, or remove it"),
        "{told}"
    );
    fs::remove_file(&file).unwrap();
    assert!(!is_refused(
        &Server::start(&arguments),
        &make(&key, &["--id", "one"])
    ));
}
