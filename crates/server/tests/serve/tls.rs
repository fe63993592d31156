//! The program with TLS: its first lines, its certificates and their exchange, and what it says when one is wrong.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::authority::{Authority, with_tls};
use crate::client::{Client, eventually};
use crate::process::{Server, metric, serve};
use crate::tls_files::Files;

/// What the program says that is called like this and ends.
fn refusal(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn everything_is_served_over_tls() {
    let files = Files::new("everything");
    let mut server = Server::start_by(&mut files.serve(&[]));
    let address = server.address;
    assert_eq!(server.line(), format!("chat page     https://{address}/\n"));
    assert_eq!(server.line(), format!("WebSocket     wss://{address}/ws\n"));
    assert_eq!(files.get(&server, "/health").body, "ok\n");
    assert!(files.get(&server, "/").body.contains("<html"));
    let mut client = files.connect(&server).upgraded("/ws?topic=a");
    client.expect("welcome");
    client.expect("subscribed");
    let stats: Value = serde_json::from_str(&files.get(&server, "/api/stats").body).unwrap();
    assert_eq!(stats["connections"], 1);
    let page = files.get(&server, "/metrics").body;
    assert!(metric(&page, "fanfare_certificate_expiry_seconds") > 1_700_000_000);
    let mut plain = Client::connect(address);
    plain.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(plain.response().unwrap().status, 400);
}

// Row 18.
#[test]
fn a_certificate_is_exchanged_at_a_hangup_and_a_wrong_one_changes_nothing() {
    let files = Files::new("exchange");
    let log = files.path("log");
    let mut command = files.serve(&["--log", "info"]);
    command.stderr(fs::File::create(&log).unwrap());
    let server = Server::start_by(&mut command);
    let mut open = files.connect(&server).upgraded("/ws?topic=a");
    open.expect("welcome");
    open.expect("subscribed");
    let first = files.certificate(&server);
    let mut lines = 0;
    let mut hang_up = |new_lines: usize| {
        server.signal(Signal::HUP);
        lines += new_lines;
        let log = Path::new(&log);
        eventually("it is in the log", || {
            fs::read_to_string(log).unwrap().lines().count() >= lines
        });
        open.send_json(json!({"type": "publish", "topic": "a", "data": "still here"}));
        assert_eq!(open.expect("message")["data"], "still here");
        fs::read_to_string(log)
            .unwrap()
            .lines()
            .last()
            .unwrap()
            .to_owned()
    };
    let (renewed, other) = (
        files.authority.sign("localhost"),
        files.authority.sign("localhost"),
    );
    let expired = files.authority.sign_with("localhost", |parameters| {
        parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let wrong = [
        (
            renewed.chain.as_str(),
            other.key.as_str(),
            "the key is not that of the certificate",
        ),
        (&expired.chain, &expired.key, "has expired"),
        ("", &renewed.key, "no certificate in it"),
        (&renewed.chain, "nonsense", "no private key in it"),
    ];
    for (chain, key, said) in wrong {
        files.write("cert.pem", chain);
        files.write("key.pem", key);
        let line = hang_up(1);
        assert!(line.contains("ERROR") && line.contains(said), "{line}");
        assert_eq!(files.certificate(&server), first);
    }
    fs::remove_file(files.path("cert.pem")).unwrap();
    let line = hang_up(1);
    assert!(
        line.contains(&files.path("cert.pem")) && line.contains("No such file"),
        "{line}"
    );
    assert_eq!(files.certificate(&server), first);
    files.put(&renewed);
    let line = hang_up(2);
    assert!(
        line.contains("INFO") && line.contains("the configuration was read again"),
        "{line}"
    );
    let log = fs::read_to_string(&log).unwrap();
    assert!(log.contains("the certificates were read again days="), "{log}");
    assert_ne!(files.certificate(&server), first, "nobody had to restart it");
}

#[test]
fn a_start_with_a_wrong_certificate_names_file_and_reason() {
    let files = Files::new("start");
    let missing = files.path("cert.pem");
    fs::remove_file(&missing).unwrap();
    let (code, said) = refusal(&mut files.serve(&[]));
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains(&format!("error: tls_cert is `{missing}`: No such file")),
        "{said}"
    );
    let (code, said) = refusal(&mut serve(&["--tls-cert", "cert.pem"]));
    assert_eq!(code, Some(2));
    assert!(said.contains("each certificate needs its key"), "{said}");
    let (_, said) = refusal(&mut serve(&["--tls-client-ca", "ca.pem"]));
    assert!(said.contains("set tls_cert and tls_key"), "{said}");
    let (_, said) = refusal(&mut serve(&["--tls-client-required"]));
    assert!(said.contains("set tls_client_ca"), "{said}");
    files.put(&files.authority.sign("localhost"));
    let (_, said) = refusal(&mut files.serve(&["--tls-client-ca", &files.path("key.pem")]));
    assert!(
        said.contains("tls_client_ca is `") && said.contains("no certificate in it"),
        "{said}"
    );
}

#[test]
fn a_certificate_that_expires_soon_is_warned_of() {
    let files = Files::new("soon");
    files.put(&files.authority.sign_with("localhost", |parameters| {
        parameters.not_after = std::time::SystemTime::now().into();
        parameters.not_after += std::time::Duration::from_secs(3 * 24 * 60 * 60 + 60);
    }));
    let log = files.path("log");
    let mut command = files.serve(&["--log", "warn"]);
    command.stderr(fs::File::create(&log).unwrap());
    let _server = Server::start_by(&mut command);
    eventually("it is warned of", || {
        fs::read_to_string(&log)
            .unwrap()
            .contains("a certificate expires soon, renew it and send SIGHUP days=3")
    });
}

#[test]
fn clients_must_show_a_certificate_where_that_is_asked_for() {
    let files = Files::new("clients");
    let server = Server::start_by(&mut files.serve(&[
        "--tls-client-ca",
        &files.path("ca.pem"),
        "--tls-client-required",
        "--tls-min-version",
        "1.3",
    ]));
    let anna = files.authority.sign("anna");
    let client = Client::connect(server.address);
    let mut client = with_tls(client, files.authority.client_showing(&anna), "localhost");
    assert_eq!(crate::process::get(&mut client, "/health").status, 200);
    let mut without = files.connect(&server);
    without.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(without.response().is_none());
}

#[test]
fn the_commands_of_the_program_speak_tls_with_whom_they_trust() {
    let files = Files::new("commands");
    let server = Server::start_by(&mut files.serve(&[]));
    let mut subscriber = files.connect(&server).upgraded("/ws?topic=a");
    subscriber.expect("welcome");
    subscriber.expect("subscribed");
    let url = format!("wss://localhost:{}/ws", server.address.port());
    let publish = |authority: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        command.args(["pub", "a", "hello", "--url", &url, "--ca", &files.path(authority)]);
        refusal(&mut command)
    };
    let (code, said) = publish("ca.pem");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(subscriber.expect("message")["data"], "hello");
    files.write("stranger.pem", &Authority::new().pem);
    let (code, said) = publish("stranger.pem");
    assert_eq!(code, Some(1));
    assert!(said.contains("invalid peer certificate"), "{said}");
    let (code, said) = publish("missing.pem");
    assert_eq!(code, Some(2));
    assert!(
        said.contains("--ca is `") && said.contains("No such file"),
        "{said}"
    );
}
