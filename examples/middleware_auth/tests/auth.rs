//! The example as its README has it tried, with plain clients and in a browser.

use fanfare_testing::{Answer, Browsers, Program, Screen, Socket, Tab};
use serde_json::json;

fn program() -> Program {
    Program::start(env!("CARGO_BIN_EXE_example-middleware-auth"))
}

#[test]
fn only_who_is_logged_in_may_connect() {
    let program = program();
    let open = |headers: &[(&str, &str)]| Socket::try_open(&program, "/ws", headers).map(drop);
    assert_eq!(open(&[]), Err(401));
    assert_eq!(open(&[("Cookie", "session=")]), Err(401));
    assert_eq!(
        open(&[("Cookie", "session=00000000000000000000000000000000")]),
        Err(401)
    );
    assert_eq!(open(&[("Cookie", "session=session-1")]), Err(401));

    for (user, password) in [("ada", "kite"), ("ada", ""), ("eve", "engine")] {
        let answer = try_log_in(&program, user, password);
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/login#wrong"))
        );
        assert_eq!(answer.header("set-cookie"), None);
    }

    let cookie = log_in(&program, "ada", "engine");
    assert_eq!(open(&[("Cookie", &cookie)]), Ok(()));
    assert_eq!(open(&[("Cookie", &format!("theme=dark; {cookie}"))]), Ok(()));
    // A page of another site has the cookie at most by a fault of the browser, and does not get in with it.
    let elsewhere = [("Cookie", &*cookie), ("Origin", "https://evil.example")];
    assert_eq!(open(&elsewhere), Err(403));
    for path in ["/me", "/notes", "/logout"] {
        let method = if path == "/me" { "GET" } else { "POST" };
        assert_eq!(program.request(method, path, &[], "").status, 401, "{path}");
    }
}

#[test]
fn everyone_hears_their_own_inbox_and_no_other() {
    let program = program();
    let (ada, ben) = (log_in(&program, "ada", "engine"), log_in(&program, "ben", "kite"));
    let mut inbox = connect(&program, "/ws?topic=inbox:ada", &ada);
    assert_eq!(inbox.next_of("subscribed")["topics"][0]["topic"], "inbox:ada");

    for (command, topic) in [
        ("subscribe", "inbox:ben"),
        ("subscribe", "inbox:"),
        ("subscribe", "news"),
        ("publish", "inbox:ben"),
        ("publish", "inbox:ada"),
        ("publish", "news"),
    ] {
        let answer = inbox.ask(json!({"type": command, "topic": topic, "data": "hello"}));
        assert_eq!(answer["code"], "forbidden", "{command} {topic}: {answer}");
    }
    let direct = inbox.ask(json!({"type": "send", "user": "ben", "data": "hello"}));
    assert_eq!(direct["code"], "forbidden", "{direct}");
    let mut by_url = connect(&program, "/ws?topic=inbox:ben", &ada);
    assert_eq!(by_url.next_of("error")["code"], "forbidden");

    assert_eq!(send_note(&program, &ben, "to=ben&text=for+me").status, 204);
    assert_eq!(send_note(&program, &ben, "to=ada&text=%3Cb%3Ehello").status, 204);
    let note = inbox.next_of("message");
    assert_eq!(note["data"], json!({"from": "ben", "text": "<b>hello"}));

    assert_eq!(send_note(&program, &ben, "to=eve&text=hello").status, 404);
    let long = format!("to=ada&text={}", "x".repeat(1_001));
    assert_eq!(send_note(&program, &ben, &long).status, 422);
}

#[test]
fn logging_out_ends_the_connections_of_this_session_and_no_other() {
    let program = program();
    let here = log_in(&program, "ada", "engine");
    let elsewhere = log_in(&program, "ada", "engine");
    let mut first = connect(&program, "/ws", &here);
    let mut second = connect(&program, "/ws", &here);
    let mut other = connect(&program, "/ws", &elsewhere);
    for socket in [&mut first, &mut second, &mut other] {
        assert_eq!(socket.next_json()["user"], "ada");
    }

    let answer = program.request("POST", "/logout", &[&format!("Cookie: {here}")], "");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!([first.closed(), second.closed()], [3500, 3500]);
    assert_eq!(
        Socket::try_open(&program, "/ws", &[("Cookie", &here)]).unwrap_err(),
        401
    );
    assert_eq!(other.ask(json!({"type": "ping"}))["type"], "pong");
}

#[tokio::test]
async fn people_log_in_write_to_each_other_and_log_out() {
    let program = program();
    let browsers = Browsers::start();
    let ada = browsers.open(Screen::Desktop).await;
    ada.go(&program.url("/")).await;
    until_at_login(&ada).await;
    // The browser itself says that it was not let in, and with it that the page tried.
    assert!(ada.complaints().await.iter().all(|line| line.contains("401")));
    ada.type_into("user", "ada").await;
    ada.type_into("password", "wrong\u{e007}").await;
    ada.until_found(
        "return String(document.querySelector('#wrong')?.offsetHeight > 0)",
        "true",
    )
    .await;
    fits(&ada).await;
    enter(&ada, "ada", "engine").await;
    let ben = browsers.open(Screen::Phone).await;
    ben.go(&program.url("/login")).await;
    fits(&ben).await;
    enter(&ben, "ben", "kite").await;

    ben.type_into("text", "<i>hello</i>\u{e007}").await;
    ada.until_found(LAST_LINE, "ben: <i>hello</i>").await;
    ada.click("peek").await;
    ada.until_found(
        "return String(document.querySelector('#log').lastChild.textContent.startsWith('Refused: '))",
        "true",
    )
    .await;
    for tab in [&ada, &ben] {
        fits(tab).await;
        assert_eq!(tab.complaints().await, [""; 0]);
    }
    ada.click("leave").await;
    until_at_login(&ada).await;
}

const LAST_LINE: &str = "return document.querySelector('#log')?.lastChild?.textContent ?? ''";

async fn enter(tab: &Tab, user: &str, password: &str) {
    tab.read::<()>("document.querySelector('form').reset()").await;
    tab.type_into("user", user).await;
    tab.type_into("password", password).await;
    tab.click("enter").await;
    tab.until_found(
        "return document.querySelector('#title')?.textContent ?? ''",
        &format!("Inbox of {user}"),
    )
    .await;
    tab.until_found(LAST_LINE, &format!("Listening to inbox:{user}"))
        .await;
}

async fn until_at_login(tab: &Tab) {
    tab.until_found("return location.pathname", "/login").await;
}

async fn fits(tab: &Tab) {
    let is_wider: bool = tab
        .read("return document.documentElement.scrollWidth > innerWidth")
        .await;
    assert!(!is_wider, "the page scrolls sideways");
}

/// Logs in; the cookie.
fn log_in(program: &Program, user: &str, password: &str) -> String {
    let answer = try_log_in(program, user, password);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

fn try_log_in(program: &Program, user: &str, password: &str) -> Answer {
    program.request(
        "POST",
        "/login",
        &[FORM],
        &format!("user={user}&password={password}"),
    )
}

fn send_note(program: &Program, cookie: &str, form: &str) -> Answer {
    program.request("POST", "/notes", &[FORM, &format!("Cookie: {cookie}")], form)
}

fn connect(program: &Program, path: &str, cookie: &str) -> Socket {
    Socket::try_open(program, path, &[("Cookie", cookie)]).unwrap()
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
