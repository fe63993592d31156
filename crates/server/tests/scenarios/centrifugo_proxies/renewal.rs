//! The refresh proxy: it says who goes on when somebody's time is over, and the client knows nothing of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::entry::{knock, say_connect, with_connect};
use super::{base, now, run};
use crate::backend::{Backend, Reply};
use crate::client::{Client, eventually};
use crate::process::Server;

/// Options for these questions, of which connect and refresh are two.
fn with_refresh(backend: &Backend, more: &[&str]) -> Vec<String> {
    let refresh = format!("--hook-refresh-url={}/refresh", base(backend));
    with_connect(backend, &[&[&*refresh, "--hook-header=X-Who"], more].concat())
}

/// A backend by which everybody is Ada for a second, and then what `refresh` says, the first time and later.
fn backend_of(refresh: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Backend {
    let asked = AtomicUsize::new(0);
    Backend::start(move |question| match question.target.as_str() {
        "/connect" => Reply::Json(
            json!({"result": {"user": "ada", "expire_at": now() + 1, "info": 1, "meta": {"m": 1}}}),
        ),
        "/refresh" => refresh(asked.fetch_add(1, Ordering::SeqCst)),
        _ => Reply::Json(json!({"result": {}})),
    })
}

fn enter(server: &Server) -> (Client, Value) {
    let mut client = knock(server, "/connection/websocket", &["X-Who: me"]);
    let answer = say_connect(&mut client, &json!({}));
    let result = answer["connect"].clone();
    assert!(result.is_object(), "{answer}");
    assert_eq!(
        (&result["expires"], &result["ttl"]),
        (&Value::Null, &Value::Null),
        "{result}"
    );
    (client, result)
}

fn refreshes(backend: &Backend) -> usize {
    let asked = backend.asked();
    asked.iter().filter(|asked| asked.target == "/refresh").count()
}

#[test]
fn a_refresh_proxy_says_who_goes_on() {
    let backend = backend_of(|_| Reply::Json(json!({"result": {"expire_at": now() + 3_600, "info": 2}})));
    run(&with_refresh(&backend, &[]), |server| {
        let (mut client, result) = enter(server);
        eventually("it is asked", || refreshes(&backend) == 1);
        let asked = backend.asked();
        let refresh = asked.iter().find(|asked| asked.target == "/refresh").unwrap();
        let expected = json!({"client": result["client"], "transport": "websocket", "protocol": "json",
            "encoding": "json", "user": "ada", "meta": {"m": 1}});
        assert_eq!((&refresh.body, &*refresh.headers["x-who"]), (&expected, "me"));
        let reply = client.ask(json!({"id": 2, "subscribe": {"channel": "gated:a"}}));
        assert!(reply["subscribe"].is_object(), "{reply}");
        client.send_json(json!({"id": 3, "publish": {"channel": "gated:a", "data": 1}}));
        let heard = [client.json(), client.json()];
        let info = heard
            .iter()
            .map(|heard| &heard["push"]["pub"]["info"]["conn_info"]);
        assert_eq!(
            info.filter(|info| !info.is_null()).collect::<Vec<_>>(),
            [&json!(2)],
            "{heard:?}"
        );
        assert_eq!(refreshes(&backend), 1);
    });
}

#[test]
fn whose_time_is_over_by_the_proxy_is_closed() {
    for (answer, code) in [
        (json!({"result": {"expired": true}}), 3005),
        (json!({"result": {}}), 3005),
        (json!({}), 3005),
        (json!({"error": {"code": 403}}), 3005),
        (json!({"disconnect": {"code": 4501, "reason": "banned"}}), 4501),
    ] {
        let backend = backend_of(move |_| Reply::Json(answer.clone()));
        run(&with_refresh(&backend, &[]), |server| {
            let (mut client, _) = enter(server);
            assert_eq!(client.ending().code, code);
            assert_eq!(refreshes(&backend), 1);
        });
    }
}

#[test]
fn a_refresh_proxy_that_does_not_answer_is_asked_again() {
    let answers = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answers);
    let backend = backend_of(move |number| match number {
        0 => Reply::Silence,
        1 => Reply::Json(json!({"error": {"code": 503, "message": "later", "temporary": true}})),
        _ => {
            count.fetch_add(1, Ordering::SeqCst);
            Reply::Json(json!({"result": {"expire_at": now() + 3_600}}))
        }
    });
    run(&with_refresh(&backend, &["--hook-timeout=300ms"]), |server| {
        let (mut client, _) = enter(server);
        eventually("it has answered", || answers.load(Ordering::SeqCst) == 1);
        let reply = client.ask(json!({"id": 2, "subscribe": {"channel": "gated:a"}}));
        assert!(reply["subscribe"].is_object(), "{reply}");
        assert_eq!(refreshes(&backend), 3);
    });
}
