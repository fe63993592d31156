//! Whole configurations and what becomes of them; the server takes each.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use fanfare_testing::Program;

use super::{Folder, code, fanfare, import, stderr, stdout};

/// What a golden is made of: its name, the file if there is one, and the variables.
type Golden = (&'static str, Option<&'static str>, Variables);

type Variables = &'static [(&'static str, &'static str)];

const GOLDENS: &[Golden] = &[
    ("v5", Some("v5.json"), &[]),
    ("v6", Some("v6.json"), &[]),
    ("v6", Some("v6.yaml"), &[]),
    ("v6", Some("v6.toml"), &[]),
    ("environment", None, ENVIRONMENT),
    ("mixed", Some("v6.yaml"), MIXED),
];

/// A deployment that has no file, as containers often are.
const ENVIRONMENT: Variables = &[
    (
        "CENTRIFUGO_TOKEN_HMAC_SECRET_KEY",
        "bbe7d157-a253-4094-9759-06a8236543f9",
    ),
    ("CENTRIFUGO_HTTP_API_KEY", "d7627bb6-2292-4911-82e1-615c0ed3eebb"),
    (
        "CENTRIFUGO_ALLOWED_ORIGINS",
        "http://localhost:3000 https://app.example.org",
    ),
    (
        "CENTRIFUGO_CHANNEL_NAMESPACES",
        r#"[{"name": "chat", "presence": true}]"#,
    ),
    (
        "CENTRIFUGO_CHANNEL_NAMESPACES_CHAT_ALLOW_SUBSCRIBE_FOR_CLIENT",
        "true",
    ),
    ("CENTRIFUGO_ADMIN_ENABLED", "false"),
    ("CENTRIFUGO_SERVICE_HOST", "10.0.0.1"),
    ("CENTRIFUGO_PORT", "tcp://10.0.0.1:8000"),
    ("CENTRIFUGO_TOKN_ISSUER", "x"),
];

/// What beats a file.
const MIXED: Variables = &[
    ("CENTRIFUGO_HTTP_SERVER_ADDRESS", ""),
    ("CENTRIFUGO_CLIENT_TOKEN_AUDIENCE", "other"),
    ("CENTRIFUGO_CHANNEL_NAMESPACES_FEED_HISTORY_SIZE", "50"),
    (
        "CENTRIFUGO_CHANNEL_NAMESPACES_TICKER_ALLOW_PUBLISH_FOR_CLIENT",
        "1",
    ),
    ("CENTRIFUGO_ENGINE_TYPE", "redis"),
    ("CENTRIFUGO_ENGINE_REDIS_ADDRESS", "redis://redis:6379"),
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/import")
        .join(name)
}

#[test]
fn configurations_become_what_they_became() {
    for (golden, file, variables) in GOLDENS {
        let output = match file {
            Some(file) => import(&path(file), variables),
            None => fanfare(variables)
                .args(["import", "centrifugo"])
                .output()
                .unwrap(),
        };
        let made = format!(
            "{}--- {}\n{}",
            still(&stdout(&output)),
            code(&output),
            stderr(&output)
        );
        let golden = path(&format!("{golden}.golden"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &made).unwrap();
        }
        let was = std::fs::read_to_string(&golden).unwrap();
        assert_eq!(
            made, was,
            "{file:?}: look whether it is right, then run with UPDATE_GOLDEN=1"
        );
    }
}

/// An output without the key that is new each time.
fn still(output: &str) -> String {
    let line = |line: &str| match line.strip_prefix("hook_secret = ") {
        Some(_) => "hook_secret = [\"…\"]\n".to_owned(),
        None => format!("{line}\n"),
    };
    output.lines().map(line).collect()
}

#[test]
fn the_server_checks_and_serves_what_was_made() {
    let folder = Folder::new("serves");
    for (index, (golden, file, variables)) in GOLDENS.iter().enumerate() {
        let target = folder.path(&format!("{golden}-{index}.toml"));
        let mut command = fanfare(variables);
        command
            .args(["import", "centrifugo"])
            .args(file.map(path))
            .arg("--output")
            .arg(&target);
        let output = command.output().unwrap();
        assert!([0, 3].contains(&code(&output)), "{}", stderr(&output));
        let checked = fanfare(&[]).arg("check").arg(&target).output().unwrap();
        assert_eq!(code(&checked), 0, "{}", stderr(&checked));
        let server = Program::start_by(move |address| serve(&target, address));
        assert_eq!(server.request("GET", "/health", &[], "").status, 200);
        let keyless = server.request("GET", "/metrics", &[], "");
        assert_eq!(keyless.status, 401, "{keyless:?}");
        let key = "x-api-key: d7627bb6-2292-4911-82e1-615c0ed3eebb";
        assert_eq!(server.request("GET", "/metrics", &[key], "").status, 200);
    }
}

fn serve(config: &Path, address: SocketAddr) -> Command {
    let mut command = fanfare(&[]);
    command
        .args(["serve", "--listen", &address.to_string(), "--config"])
        .arg(config);
    command
}
