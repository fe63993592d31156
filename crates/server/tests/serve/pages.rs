//! The chat page and what else is served over HTTP: exact names only, under a strict policy.

use crate::client::Client;
use crate::process::{Server, get};

#[test]
fn the_pages_come_with_a_strict_policy() {
    let server = Server::start(&[]);
    for (target, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/pages/chat.js", "text/javascript; charset=utf-8"),
        ("/pages/style.css", "text/css; charset=utf-8"),
        ("/pages/favicon.svg", "image/svg+xml"),
    ] {
        let page = server.get(target);
        assert_eq!(page.status, 200, "{target}");
        assert_eq!(page.header("content-type"), Some(kind));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        let policy = page.header("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(rule), "{target}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}

#[test]
fn nothing_but_exact_names_is_found() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.address);
    for target in [
        "/pages/",
        "/pages",
        "/pages/..",
        "/pages/../index.html",
        "/pages/..%2findex.html",
        "/pages/..%2f..%2fCargo.toml",
        "/pages/%2e%2e%2fchat.js",
        "/pages/..%5cchat.js",
        "/pages/%2fetc%2fpasswd",
        "/pages//etc/passwd",
        "//etc/passwd",
        "/pages/chat.js%00",
        "/pages/chat.js%00.css",
        "/pages/chat.js/",
        "/pages/chat.js/..",
        "/pages/./chat.js",
        "/pages/CHAT.JS",
        "/pages/README.md",
        "/chat.js",
        "/index.html",
        "/ws/",
        "/metrics/",
        "/debug",
        "/.git/config",
    ] {
        let response = get(&mut client, target);
        assert_eq!(response.status, 404, "{target}");
        assert!(!response.body.contains("root:"), "{target}");
    }
}

#[test]
fn pages_and_metrics_are_only_read() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.address);
    for target in ["/", "/pages/chat.js", "/metrics", "/health", "/ready"] {
        let request = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        client.send(request.as_bytes());
        assert_eq!(client.response().unwrap().status, 405, "{target}");
    }
}

#[test]
fn the_websocket_address_says_what_it_is_to_a_browser() {
    let server = Server::start(&[]);
    let response = server.get("/ws");
    assert_eq!(response.status, 426);
    assert!(response.body.contains("WebSocket"), "{}", response.body);
}
