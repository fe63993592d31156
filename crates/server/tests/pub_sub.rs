//! `fanfare pub` and `fanfare sub` from outside, against servers that play a written part each.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Message, WebSocket};

/// The server's end of one connection.
struct Peer(WebSocket<TcpStream>);

impl Peer {
    fn says(&mut self, value: Value) {
        self.0.send(Message::text(value.to_string())).unwrap();
    }

    /// The next command; none once the client has left.
    fn hears(&mut self) -> Option<Value> {
        match self.0.read() {
            Ok(Message::Text(text)) => Some(serde_json::from_str(&text).unwrap()),
            _ => None,
        }
    }

    /// Answers a `subscribe`, and gives it.
    fn subscribes(&mut self, offset: u64) -> Value {
        let command = self.hears().unwrap();
        let topics: Vec<_> = command["topics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|topic| at(topic.get("topic").unwrap_or(topic), offset))
            .collect();
        self.says(json!({"type": "subscribed", "id": command["id"], "topics": topics}));
        command
    }

    fn publishes(&mut self, offset: u64, data: Value) {
        self.says(json!({"type": "message", "topic": "a", "offset": offset, "time": 5, "data": data}));
    }
}

/// A topic of a command, whether it names a place or not, with the place where it begins.
fn at(topic: &Value, offset: u64) -> Value {
    let name = topic.get("topic").unwrap_or(topic);
    json!({"topic": name, "epoch": "e", "offset": offset})
}

/// What a server does with one connection, after the welcome.
type Part = Box<dyn FnOnce(&mut Peer) + Send>;

/// A server that plays one part per connection; its URL.
fn server(parts: Vec<Part>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    thread::spawn(move || {
        for part in parts {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut peer = Peer(tungstenite::accept(stream).unwrap());
            peer.says(json!({"type": "welcome", "connection": "c"}));
            part(&mut peer);
            while peer.0.read().is_ok() {}
        }
    });
    url
}

/// A server that takes publications and repeats the data of each as text.
fn taking_publications() -> (String, std::sync::mpsc::Receiver<String>) {
    let (sender, taken) = std::sync::mpsc::channel();
    let url = server(vec![Box::new(move |peer| {
        let mut offset = 6;
        while let Some(command) = peer.hears() {
            offset += 1;
            sender.send(command["data"].to_string()).unwrap();
            let published =
                json!({"type": "published", "id": command["id"], "topic": command["topic"], "epoch": "e"});
            let mut published = published.as_object().unwrap().clone();
            published.insert("offset".to_owned(), offset.into());
            peer.says(Value::Object(published));
        }
    })]);
    (url, taken)
}

fn fanfare(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command
        .args(arguments)
        .env("FANFARE_URL", url)
        .stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The lines a running command prints, as they come.
fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

#[test]
fn pub_publishes_json_as_it_is_and_other_text_as_a_string() {
    for (data, expected) in [("{\"x\":1}", "{\"x\":1}"), ("hello", "\"hello\""), ("-5", "-5")] {
        let (url, taken) = taking_publications();
        let output = fanfare(&url, &["pub", "a", data]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(taken.iter().collect::<Vec<_>>(), [expected]);
        assert_eq!((output.stdout.len(), output.stderr.len()), (0, 0));
    }
}

#[test]
fn pub_publishes_each_line_of_its_input_in_order() {
    for arguments in [&["pub", "a", "-", "--verbose"][..], &["pub", "a", "-v"]] {
        let (url, taken) = taking_publications();
        let mut child = fanfare(&url, arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"1\ntwo\n\n[3]").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(taken.iter().collect::<Vec<_>>(), ["1", "\"two\"", "\"\"", "[3]"]);
        assert_eq!(stderr(&output), "a 7\na 8\na 9\na 10\n");
    }
}

#[test]
fn pub_gives_one_publication_a_key_and_tells_whether_it_was_there_already() {
    let url = server(vec![Box::new(|peer| {
        let command = peer.hears().unwrap();
        assert_eq!(command["idempotency_key"], "order 7");
        let mut published = at(&command["topic"], 7);
        for (name, value) in [("type", "published".into()), ("id", command["id"].clone())] {
            published[name] = value;
        }
        published["repeated"] = true.into();
        peer.says(published);
        assert_eq!(peer.hears(), None);
    })]);
    let once = ["pub", "a", "1", "--idempotency-key", "order 7", "-v"];
    let output = fanfare(&url, &once).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "a 7 repeated\n");
    for lines in [
        &["pub", "a", "--idempotency-key", "k"][..],
        &["pub", "a", "-", "--idempotency-key", "k"],
    ] {
        let output = fanfare(&url, lines).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("give DATA"), "{}", stderr(&output));
    }
}

#[test]
fn pub_fails_when_the_server_refuses() {
    let url = server(vec![Box::new(|peer| {
        let id = peer.hears().unwrap()["id"].clone();
        peer.says(json!({"type": "error", "id": id, "code": "bad_topic", "message": "bad topic"}));
    })]);
    let output = fanfare(&url, &["pub", "a b", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "error: server refused: bad topic (code bad_topic)\n"
    );
}

#[test]
fn without_a_server_the_error_names_the_url_and_the_way_out() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ws://{unused}/ws");
    for arguments in [&["pub", "a", "x"][..], &["sub", "a"]] {
        let output = fanfare(&url, arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains(&format!("cannot connect to {url}")),
            "{}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains("is `fanfare serve` running there?"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn a_url_that_cannot_be_used_is_wrong_usage() {
    for url in ["wss://:443/ws", "http://127.0.0.1/", "here"] {
        let output = fanfare(url, &["sub", "a"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(url), "{}", stderr(&output));
    }
}

#[test]
fn a_flag_beats_the_environment() {
    let (url, taken) = taking_publications();
    let output = fanfare("ws://wrong.invalid/", &["pub", "a", "x", "--url", &url])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(taken.iter().count(), 1);
}

#[test]
fn sub_prints_the_data_of_each_publication_until_interrupted() {
    let url = server(vec![Box::new(|peer| {
        peer.subscribes(0);
        peer.publishes(1, json!("two\nlines"));
        let spread = "{\"type\":\"message\",\"topic\":\"a\",\"offset\":2,\"data\":{ \"x\":\n 1.0 }}";
        peer.0.send(Message::text(spread)).unwrap();
    })]);
    let mut child = fanfare(&url, &["sub", "a", "b"]).spawn().unwrap();
    let printed: Vec<_> = lines(&mut child).take(2).collect();
    assert_eq!(printed, ["\"two\\nlines\"", "{\"x\":1.0}"]);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn sub_prints_whole_messages_when_asked_to() {
    let url = server(vec![Box::new(|peer| {
        peer.subscribes(0);
        peer.publishes(1, json!([1, 2]));
    })]);
    let mut child = fanfare(&url, &["sub", "a", "--json"]).spawn().unwrap();
    let line = lines(&mut child).next().unwrap();
    assert_eq!(
        line,
        r#"{"type":"message","topic":"a","offset":1,"time":5,"data":[1,2]}"#
    );
    interrupt(&child);
    child.wait().unwrap();
}

#[test]
fn sub_connects_again_and_tells_what_was_missed() {
    let url = server(vec![
        Box::new(|peer| {
            peer.subscribes(0);
            peer.publishes(1, json!(1));
            peer.0.close(None).unwrap();
        }),
        Box::new(|peer| {
            peer.subscribes(3);
            peer.publishes(4, json!(4));
        }),
    ]);
    let mut child = fanfare(&url, &["sub", "a"]).spawn().unwrap();
    assert_eq!(lines(&mut child).take(2).collect::<Vec<_>>(), ["1", "4"]);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert!(
        stderr(&output).contains("connecting again in"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("warning: 2 publications of a were missed"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn sub_asks_again_where_it_is_refused_for_now() {
    let url = server(vec![
        Box::new(|peer| {
            peer.subscribes(0);
            peer.publishes(1, json!(1));
            peer.0.close(None).unwrap();
        }),
        Box::new(|peer| {
            let refused = peer.hears().unwrap();
            peer.says(
                json!({"type": "error", "id": refused["id"], "code": "unavailable", "message": "not now",
                "temporary": true}),
            );
            assert_eq!(
                peer.subscribes(1)["topics"],
                refused["topics"],
                "from where it was"
            );
            peer.publishes(2, json!(2));
        }),
    ]);
    let mut child = fanfare(&url, &["sub", "a"]).spawn().unwrap();
    assert_eq!(lines(&mut child).take(2).collect::<Vec<_>>(), ["1", "2"]);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let told =
        "warning: not subscribed to a yet: server refused: not now (code unavailable); asking again in";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
}

/// A server that has Ada and somebody without a name in a topic, and then Bob in her place, and a publication behind that.
fn with_presence() -> String {
    server(vec![Box::new(|peer| {
        assert_eq!(peer.subscribes(0)["presence"], true);
        let member = |fields| {
            let mut member = json!({"connection": "0000000100000002", "since": 5});
            member.as_object_mut().unwrap().extend(fields);
            member
        };
        let user = |name: &str| member([("user".to_owned(), json!(name))].into_iter().collect());
        let (ada, nobody) = (user("ada"), member(serde_json::Map::new()));
        let everyone = json!({"type": "attendance", "topic": "a", "connections": 2, "users": 1,
            "members": [ada, nobody], "complete": true});
        let changed = json!({"type": "attendance", "topic": "a", "connections": 2, "users": 1,
            "came": [user("bob")], "went": [user("ada")]});
        peer.says(everyone);
        peer.says(changed);
        peer.publishes(1, json!(1));
    })])
}

#[test]
fn sub_tells_people_who_is_there_and_who_comes_and_goes() {
    let mut child = fanfare(&with_presence(), &["sub", "a", "--presence"])
        .spawn()
        .unwrap();
    assert_eq!(lines(&mut child).next().unwrap(), "1");
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let told = "a: 2 are there: ada 0000000100000002\na: 2 are there: +bob -ada\n";
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), told));
}

#[test]
fn sub_tells_programs_who_is_there_in_lines_of_their_own() {
    let arguments = ["sub", "a", "--presence", "--json"];
    let mut child = fanfare(&with_presence(), &arguments).spawn().unwrap();
    let told: Vec<Value> = lines(&mut child)
        .take(3)
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect();
    let (everyone, changed) = (&told[0], &told[1]);
    assert_eq!(
        (&everyone["type"], &everyone["topic"]),
        (&json!("attendance"), &json!("a"))
    );
    assert_eq!(
        (&everyone["users"], &everyone["complete"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(
        (&changed["came"][0]["user"], &changed["went"][0]["user"]),
        (&json!("bob"), &json!("ada"))
    );
    assert_eq!(told[2]["type"], "message");
    interrupt(&child);
    assert_eq!(stderr(&child.wait_with_output().unwrap()), "");
}

#[test]
fn sub_begins_in_the_past_and_goes_on_from_where_it_was() {
    for (flag, field, value) in [
        ("--last=20", "last", json!(20)),
        ("--last=0", "last", json!(0)),
        ("--since=5m", "since", json!("300000ms")),
        ("--since=e:4", "since", json!("e:4")),
    ] {
        let (sender, asked) = std::sync::mpsc::channel();
        let begun = sender.clone();
        let url = server(vec![
            Box::new(move |peer| {
                begun.send(peer.subscribes(4)).unwrap();
                peer.publishes(5, json!(5));
                peer.0.close(None).unwrap();
            }),
            Box::new(move |peer| {
                sender.send(peer.subscribes(5)).unwrap();
                peer.publishes(6, json!(6));
            }),
        ]);
        let mut child = fanfare(&url, &["sub", "a", flag]).spawn().unwrap();
        assert_eq!(lines(&mut child).take(2).collect::<Vec<_>>(), ["5", "6"]);
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        assert!(!stderr(&output).contains("missed"), "{}", stderr(&output));
        let (first, again) = (asked.recv().unwrap(), asked.recv().unwrap());
        assert_eq!(
            (&first[field], &first["topics"]),
            (&value, &json!(["a"])),
            "{first}"
        );
        assert_eq!(
            again["topics"],
            json!([{"topic": "a", "since": "e:5"}]),
            "{again}"
        );
        assert_eq!(again[field], Value::Null, "it does not begin anew");
    }
}

#[test]
fn sub_takes_only_a_place_that_it_understands() {
    for (arguments, rule) in [
        (&["--since=soon"][..], "neither a position such as"),
        (&["--since=5"], "neither a position such as"),
        (&["--last=-1"], "--last"),
        (&["--last=4294967296"], "--last"),
        (&["--last=3", "--since=5m"], "cannot be used with"),
    ] {
        let arguments = [&["sub", "a"], arguments].concat();
        let output = fanfare("ws://127.0.0.1:1/ws", &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(rule), "{}", stderr(&output));
    }
}

#[test]
fn sub_ends_quietly_when_its_reader_has_gone() {
    let url = server(vec![Box::new(|peer| {
        peer.subscribes(0);
        for offset in 1.. {
            let publication = json!({"type": "message", "topic": "a", "offset": offset, "data": offset});
            if peer.0.send(Message::text(publication.to_string())).is_err() {
                return;
            }
        }
    })]);
    let mut child = fanfare(&url, &["sub", "a"]).spawn().unwrap();
    assert_eq!(lines(&mut child).next().unwrap(), "1");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn sub_fails_when_the_server_says_not_to_come_back() {
    let url = server(vec![Box::new(|peer| {
        peer.subscribes(0);
        let frame = tungstenite::protocol::CloseFrame {
            code: 4503.into(),
            reason: "banned".into(),
        };
        peer.0.close(Some(frame)).unwrap();
    })]);
    let output = fanfare(&url, &["sub", "a"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "error: server closed the connection with code 4503: banned\n"
    );
}

/// A server that tells the `Authorization` of each connection, none as an empty text, and takes a publication.
#[expect(clippy::result_large_err, reason = "tungstenite has it so")]
fn telling_authorization() -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let (sender, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let sender = sender.clone();
            let mut peer = Peer(
                tungstenite::accept_hdr(stream, |request: &Request, response: Response| {
                    let shown = request.headers().get("Authorization");
                    let shown = shown.map_or("", |value| value.to_str().unwrap());
                    sender.send(shown.to_owned()).unwrap();
                    Ok(response)
                })
                .unwrap(),
            );
            peer.says(json!({"type": "welcome", "connection": "c"}));
            let id = peer.hears().unwrap()["id"].clone();
            peer.says(json!({"type": "published", "id": id, "topic": "a", "epoch": "e", "offset": 1}));
            while peer.0.read().is_ok() {}
        }
    });
    (url, told)
}

/// A file that is removed with the test.
struct TokenFile(std::path::PathBuf);

impl TokenFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fanfare-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_token_is_taken_from_the_line_a_file_or_the_environment_in_this_order() {
    let (url, told) = telling_authorization();
    let file = TokenFile::new("order", "of.the.file\n");
    for (environment, flags, expected) in [
        ("", &[][..], ""),
        ("of.the.environment", &[], "Bearer of.the.environment"),
        (
            "of.the.environment",
            &["--token-file", file.path()],
            "Bearer of.the.file",
        ),
        (
            "of.the.environment",
            &["--token", "of.the.line"],
            "Bearer of.the.line",
        ),
    ] {
        let output = fanfare(&url, &["pub", "a", "1"])
            .args(flags)
            .env("FANFARE_TOKEN", environment)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(told.recv().unwrap(), expected);
    }
}

#[test]
fn a_token_that_is_none_is_wrong_usage_and_not_shown() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ws://{unused}/ws");
    let (empty, bad) = (
        TokenFile::new("empty", "\n"),
        TokenFile::new("bad", "secret words"),
    );
    for (flags, problem) in [
        (&["--token", "secret words"][..], "--token or FANFARE_TOKEN"),
        (&["--token", ""], "--token or FANFARE_TOKEN"),
        (
            &["--token", "secret", "--token-file", bad.path()],
            "give one of them",
        ),
        (&["--token-file", empty.path()], "1 to 8192 bytes"),
        (&["--token-file", bad.path()], "visible ASCII"),
        (
            &["--token-file", "/nowhere/token"],
            "--token-file is `/nowhere/token`",
        ),
    ] {
        let output = fanfare(&url, &["sub", "a"]).args(flags).output().unwrap();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(problem) && !told.contains("secret"), "{told}");
    }
}

#[test]
fn help_tells_of_the_token_but_does_not_show_it_and_of_the_exit_codes() {
    for command in ["pub", "sub"] {
        let output = fanfare("", &[command, "--help"])
            .env("FANFARE_TOKEN", "a.secret.token")
            .output()
            .unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(
            help.contains("FANFARE_TOKEN") && help.contains("Exit codes"),
            "{help}"
        );
        assert!(!help.contains("secret"), "{help}");
    }
}

#[test]
fn sub_ends_when_no_topic_is_left() {
    let url = server(vec![Box::new(|peer| {
        peer.subscribes(0);
        peer.says(json!({"type": "unsubscribed", "topics": ["a"]}));
        peer.publishes(1, json!(1));
        peer.says(json!({"type": "unsubscribed", "topics": ["b"]}));
    })]);
    let output = fanfare(&url, &["sub", "a", "b"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).ends_with("error: no topic is left\n"),
        "{}",
        stderr(&output)
    );
}
