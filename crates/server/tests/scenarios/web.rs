//! The pages: found by exact name only, under a strict policy, and nothing of a request in them. That names and texts
//! cannot become markup is told in a real browser (`tests/browser/hostile_text.rs`).

use serde_json::json;

use crate::client::Client;
use crate::process::get;
use crate::story::{api, percent_encoded, story};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

// Row 83.
#[test]
fn every_page_comes_with_the_whole_policy() {
    story(&[], |server| {
        let index = server.get("/").body;
        let assets: Vec<&str> = index
            .split(['"', '\''])
            .filter(|text| text.starts_with("/pages/") || text.starts_with("pages/"))
            .collect();
        assert!(!assets.is_empty(), "{index}");
        let targets = assets
            .iter()
            .map(|asset| format!("/{}", asset.trim_start_matches('/')));
        for target in targets.chain(["/".to_owned()]) {
            let page = server.get(&target);
            assert_eq!(page.status, 200, "{target}");
            for (name, value) in [
                ("content-security-policy", POLICY),
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                ("cross-origin-opener-policy", "same-origin"),
            ] {
                assert_eq!(page.header(name), Some(value), "{target}");
            }
            assert!(!page.head.to_ascii_lowercase().contains("set-cookie"), "{target}");
        }
        for target in ["/api/stats", "/api/openapi.json", "/api/no-such-path"] {
            assert_eq!(
                server.get(target).header("x-content-type-options"),
                Some("nosniff"),
                "{target}"
            );
        }
    });
}

// Row 83.
#[test]
fn a_path_is_a_name_and_never_a_file() {
    story(&[], |server| {
        let mut client = Client::connect(server.address);
        for target in [
            "/pages/..",
            "/pages/../index.html",
            "/pages/..%2findex.html",
            "/pages/..%2f..%2fCargo.toml",
            "/pages/%2e%2e%2fchat.js",
            "/pages/%252e%252e%252fchat.js",
            "/pages/..%5cchat.js",
            "/pages/..%c0%afchat.js",
            "/pages/%2fetc%2fpasswd",
            "/pages//etc/passwd",
            "//etc/passwd",
            "/etc/passwd",
            "/pages/chat.js%00",
            "/pages/chat.js%00.css",
            "/pages/chat.js%0d%0aX-Evil:1",
            "/pages/chat.js/",
            "/pages/chat.js;.css",
            "/pages/./chat.js",
            "/pages/CHAT.JS",
            "/pages/README.md",
            "/index.html",
            "/metrics/..",
            "/.git/config",
            "/.env",
            "/debug/pprof",
        ] {
            let response = get(&mut client, target);
            assert!(
                matches!(response.status, 400 | 404),
                "{target}: {}",
                response.status
            );
            assert!(
                !response.body.contains("root:") && !response.body.contains("[package]"),
                "{target}"
            );
            assert_eq!(response.header("location"), None, "{target}");
        }
    });
}

// Row 83: there is no redirect that could be bent, and no page that repeats what it was asked for.
#[test]
fn an_answer_repeats_markup_only_where_it_cannot_run() {
    story(&["--dev"], |server| {
        let markup = "%3Cscript%3Ealert(1)%3C/script%3E";
        let mut client = Client::connect(server.address);
        for target in [
            "/",
            "/pages/",
            "/ws?topic=",
            "/ws?user=",
            "/ws?dialect=",
            "/api/",
            "/api/topics?cursor=",
            "/x",
        ] {
            let response = get(&mut client, &format!("{target}{markup}"));
            let is_html = response
                .header("content-type")
                .is_some_and(|kind| kind.starts_with("text/html"));
            assert!(
                !is_html || !response.body.contains("alert(1)"),
                "{target}: {response:?}"
            );
            assert_eq!(response.header("location"), None, "{target}");
        }
    });
}

// Row 83: what a client calls itself is data for whoever reads the API, whole and as JSON.
#[test]
fn hostile_names_come_out_of_the_api_as_text() {
    story(&["--dev"], |server| {
        let markup = "</script><img/src=x/onerror=alert(1)//";
        let user = markup.replace('>', "");
        let encoded = percent_encoded(&user);
        let mut client = Client::connect(server.address);
        let line = format!("User-Agent: {markup}");
        client.send(
            crate::client::upgrade_request(&format!("/ws?user={encoded}&topic={encoded}"), &[&line])
                .as_bytes(),
        );
        assert_eq!(client.response().unwrap().status, 101);
        client.expect("welcome");
        client.expect("subscribed");
        let row = api(server, "/api/connections")["connections"][0].clone();
        assert_eq!(row["user"], json!(user));
        assert_eq!(row["user_agent"], json!(markup));
        assert_eq!(row["topics"], json!([user]));
        let answer = server.get("/api/connections");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        // Labels come from closed sets: no name of anyone is on the page of metrics.
        assert!(!server.get("/metrics").body.contains("onerror"));
    });
}
