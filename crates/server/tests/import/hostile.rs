//! Files that are no configuration: each is refused with the place, the rule and the way out, and nothing of what is secret.

use std::path::Path;

use super::{Folder, code, fanfare, import, stderr, stdout};

/// The name of a file, its text, and what is told of it.
fn no_files() -> Vec<(&'static str, String, &'static str)> {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(200_000), close.repeat(200_000));
    vec![
        (
            "a.json",
            String::new(),
            "a.json:1:0: not JSON: EOF while parsing a value; correct it",
        ),
        (
            "b.json",
            "{\n  \"a\": 1,\n}".to_owned(),
            "b.json:3:1: not JSON: trailing comma; correct it",
        ),
        ("c.yaml", "a:\n\t- b".to_owned(), "c.yaml:2:"),
        ("d.toml", "a = 1\na = 2".to_owned(), "d.toml:2:1: not TOML: "),
        (
            "e.json",
            "[]".to_owned(),
            "e.json:1:1: a configuration has keys with values",
        ),
        ("f.json", format!("{{\"a\": {}}}", deep("[", "]")), "f.json:1:"),
        ("g.yaml", deep("[", "]"), "g.yaml:1:"),
        ("h.toml", format!("a = {}", deep("[", "]")), "h.toml:1:"),
        (
            "i.json",
            format!("{{\"a\": \"{}\"}}", "x".repeat(2 << 20)),
            "i.json cannot be read: it is larger than the limit of 1048576 bytes",
        ),
    ]
}

/// The name of a file, its text with something wrong in it, and what is told of it.
const WRONG_FILES: &[(&str, &str, &str)] = &[
    (
        "j.json",
        r#"{"client": {"channel_limit": "many"}, "namespaces": [{"name": "chat", "presence": 7}]}"#,
        "client.channel_limit is `many`: it is a whole number; write one such as `100`",
    ),
    (
        "k.json",
        r#"{"namespaces": [{"name": "chat", "presence": 7}]}"#,
        "channel.namespaces[chat].presence is `7`: it is either on or off; write `true` or `false`",
    ),
    (
        "l.json",
        r#"{"namespaces": [{"name": "a b"}]}"#,
        "channel.namespaces[a b].name is `a b`: the name of a namespace is",
    ),
    (
        "m.json",
        r#"{"namespaces": [{"name": "aa"}, {"name": "aa"}]}"#,
        "channel.namespaces[aa].name is `aa`: there is another namespace of that name; keep one",
    ),
    (
        "n.json",
        r#"{"port": 70000}"#,
        "port is `70000`: a port is a number from 0 to 65535; write one such as `8000`",
    ),
    (
        "o.json",
        r#"{"ping_interval": "25"}"#,
        "ping_interval is `25`: it is a duration with its unit; write one such as `25s`",
    ),
    (
        "p.json",
        r#"{"log_level": "loud"}"#,
        "log_level is `loud`: it is no level; write one of",
    ),
    (
        "q.json",
        r#"{"token_hmac_secret_key": ["hush"]}"#,
        "token_hmac_secret_key is a secret that is not shown",
    ),
    (
        "r.json",
        r#"{"api_key": "hush", "http_api": {"key": "hush"}}"#,
        "`api_key` and `http_api.key` are both set",
    ),
    (
        "s.json",
        r#"{"namespaces": 5}"#,
        "namespaces is `5`: it is a list of groups",
    ),
    (
        "t.json",
        r#"{"client": "x"}"#,
        "client is `x`: it is a group of settings",
    ),
];

#[test]
fn what_is_no_configuration_is_refused_with_its_place_and_the_way_out() {
    let folder = Folder::new("hostile");
    let wrong = WRONG_FILES
        .iter()
        .map(|(name, text, says)| (*name, (*text).to_owned(), *says));
    for (name, text, says) in no_files().into_iter().chain(wrong) {
        let output = import(&folder.file(name, text), &[]);
        let told = stderr(&output);
        assert_eq!(code(&output), 2, "{name}: {told}");
        assert!(told.contains(says), "{name}: {told}");
        assert!(
            told.starts_with("error: ") && !told.contains("hush"),
            "{name}: {told}"
        );
        assert_eq!(stdout(&output), "", "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_told() {
    let folder = Folder::new("unread");
    for (path, says) in [
        (
            folder.path("absent.json"),
            "absent.json cannot be read: No such file",
        ),
        (
            folder.file("bytes.json", [0xff, 0xfe]),
            "bytes.json cannot be read: stream did not contain valid UTF-8",
        ),
        (
            Path::new("/dev/zero").to_owned(),
            "/dev/zero cannot be read: it is larger than the limit",
        ),
        (folder.0.clone(), "cannot be read: Is a directory"),
    ] {
        let output = import(&path, &[]);
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
    let nothing = fanfare(&[]).args(["import", "centrifugo"]).output().unwrap();
    assert_eq!(code(&nothing), 2);
    assert!(stderr(&nothing).contains("no file is named, and no variable CENTRIFUGO_* is set"));
    assert_eq!(code(&fanfare(&[]).arg("import").output().unwrap()), 2);
}

#[test]
fn what_is_written_in_a_file_cannot_become_an_option() {
    let folder = Folder::new("injected");
    let text = r#"{"a\nopen = true\n#": 1, "allowed_origins": ["x\"]\nopen = true\n#"], "token_issuer": "\"\nopen = true",
                   "engine": "x\nopen = true", "namespaces": [{"name": "chat", "b\r\nopen = true": 1}]}"#;
    let output = import(&folder.file("config.json", text), &[]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert!(
        !stdout(&output).lines().any(|line| line.starts_with("open")),
        "{}",
        stdout(&output)
    );
    assert!(
        !stderr(&output).lines().any(|line| line.starts_with("open")),
        "{}",
        stderr(&output)
    );
}

#[test]
fn keys_are_not_told() {
    let folder = Folder::new("secrets");
    let text = r#"{"token_hmac_secret_key": "@hush-hush", "api_key": "hush-hush", "admin_password": "hush-hush", "grpc_api": true,
                   "grpc_api_key": "hush-hush", "redis_password": "hush-hush", "tls": true, "tls_key_pem": "-----BEGIN hush-hush",
                   "proxies": [{"name": "p", "grpc_credentials_value": "hush-hush"}]}"#;
    let output = import(&folder.file("config.json", text), &[]);
    assert_eq!(code(&output), 3);
    assert!(
        !stderr(&output).contains("hush") && !stdout(&output).contains("hush"),
        "{}{}",
        stderr(&output),
        stdout(&output)
    );
}
