//! The example as its README has it tried, with plain clients and in a browser.

use fanfare_client::{Client, ConnectOptions, Error, Push};
use fanfare_testing::{Browsers, Line, Program, Screen, Socket, Tab};
use serde_json::{Value, json};

fn program() -> Program {
    Program::start(env!("CARGO_BIN_EXE_example-chat-room"))
}

#[tokio::test]
async fn everyone_hears_who_said_what_and_who_comes_and_goes() {
    let program = program();
    let url = program.websocket_url("/ws?name=ada");
    let mut ada = Client::connect(&url, ConnectOptions::default()).await.unwrap();
    ada.subscribe(&["chat"]).await.unwrap();
    let mut ben = Socket::open(&program, "/ws?name=ben&topic=chat");
    assert_eq!(ben.next_of("welcome")["user"], "ben");
    heard(&mut ada, |data| *data == json!({"came": "ben"})).await;

    let said = json!({"content": "  hello ", "user": "somebody else", "time": 0});
    ada.publish("chat", &said).await.unwrap();
    let message = loop {
        let message = ben.next_of("message");
        if message["data"]["content"].is_string() {
            break message;
        }
    };
    let (data, time) = (&message["data"], &message["time"]);
    assert_eq!(*data, json!({"user": "ada", "content": "hello", "time": time}));
    assert!(time.as_u64().unwrap() > 1_700_000_000_000);
    heard(&mut ada, |heard| heard == data).await;

    ben.close();
    heard(&mut ada, |data| *data == json!({"went": "ben"})).await;
    ada.close().await;
}

#[tokio::test]
async fn what_is_no_message_is_refused_with_the_rule() {
    let program = program();
    let url = program.websocket_url("/ws?name=ada");
    let ada = Client::connect(&url, ConnectOptions::default()).await.unwrap();
    for (data, code) in [
        (json!({"content": " "}), "bad_command"),
        (json!({"content": "x".repeat(1_001)}), "bad_command"),
        (json!({"text": "hello"}), "bad_command"),
        (json!("hello"), "bad_command"),
    ] {
        assert_eq!(refusal(ada.publish("chat", &data).await), code, "{data}");
    }
    assert_eq!(refusal(ada.publish("other", "hello").await), "forbidden");
    assert_eq!(refusal(ada.subscribe(&["other"]).await), "forbidden");
    ada.close().await;
    for (path, status) in [("/ws", 401), ("/ws?name=", 403), ("/ws?name=a%20b", 403)] {
        assert_eq!(
            Socket::try_open(&program, path, &[]).unwrap_err(),
            status,
            "{path}"
        );
    }
}

#[tokio::test]
async fn people_talk_in_their_browsers() {
    let mut program = program();
    let browsers = Browsers::start();
    let (desktop, phone) = (Screen::Desktop, Screen::Phone);
    let ada = enter(&browsers, &program.url("/"), desktop, "ada").await;
    let ben = enter(&browsers, &program.url("/"), phone, "ben").await;
    ada.until_found(&line_of("ben came"), "ben came").await;
    ada.type_into("content", "<b>Good morning!</b>\u{e007}").await;
    ben.type_into("content", "早上好 ☕").await;
    ben.click("send").await;
    for tab in [&ada, &ben] {
        for (who, content) in [("ada", "<b>Good morning!</b>"), ("ben", "早上好 ☕")] {
            tab.until_found(&line_of(content), &format!("{who}{content}"))
                .await;
        }
        let is_wider: bool = tab
            .read("return document.documentElement.scrollWidth > innerWidth")
            .await;
        assert!(!is_wider, "the page scrolls sideways");
        assert_eq!(tab.complaints().await, [""; 0]);
    }

    program.interrupt();
    for tab in [&ada, &ben] {
        tab.until_found(STATE, "reconnecting").await;
    }
    program.ended();
    program.start_again();
    for tab in [&ada, &ben] {
        tab.until_found(STATE, "connected").await;
    }
    ben.type_into("content", "Back again\u{e007}").await;
    ada.until_found(&line_of("Back again"), "benBack again").await;

    ben.leave().await;
    ada.until_found(&line_of("ben went"), "ben went").await;
}

#[tokio::test]
async fn who_comes_or_comes_back_sees_what_was_said_once_and_in_order() {
    let program = program();
    let browsers = Browsers::start();
    let line = Line::to(program.address());
    let ada = enter(&browsers, &line.url("/"), Screen::Desktop, "ada").await;
    ada.type_into("content", "one\u{e007}").await;
    ada.until_found(&line_of("one"), "adaone").await;
    line.cut();
    ada.until_found(STATE, "reconnecting").await;
    let ben = enter(&browsers, &program.url("/"), Screen::Desktop, "ben").await;
    ben.until_found(&line_of("one"), "adaone").await;
    for content in ["two", "three"] {
        ben.type_into("content", &format!("{content}\u{e007}")).await;
        ben.until_found(&line_of(content), &format!("ben{content}")).await;
    }
    line.mend();
    for tab in [&ada, &ben] {
        tab.until_found(SAID, "adaone bentwo benthree").await;
        assert!(tab.read::<bool>(IS_WHOLE).await);
    }
}

async fn enter(browsers: &Browsers, address: &str, screen: Screen, name: &str) -> Tab {
    let tab = browsers.open(screen).await;
    tab.go(address).await;
    tab.type_into("name", name).await;
    tab.click("enter").await;
    tab.until_found(STATE, "connected").await;
    tab
}

const STATE: &str = "return document.querySelector('#state').textContent";

/// A script that finds who said what.
const SAID: &str = "
    const lines = [...document.querySelectorAll('#log li:not(.note)')];
    return lines.map((line) => line.children[0].textContent + line.childNodes[1].textContent).join(' ');
";

/// A script that finds out whether nothing was said to be missing.
const IS_WHOLE: &str = "return !document.querySelector('#log').textContent.includes('miss')";

/// A script that finds the line with that text, without its time.
fn line_of(text: &str) -> String {
    let text = json!(text);
    format!(
        "const line = [...document.querySelectorAll('#log li')].find((line) => line.textContent.includes({text}));
         return [...line?.childNodes ?? []].filter((part) => part.tagName !== 'TIME').map((part) => part.textContent).join('');"
    )
}

/// Waits until the client hears what is wanted.
async fn heard(client: &mut Client, is_wanted: impl Fn(&Value) -> bool) {
    loop {
        let push = client.next().await.unwrap();
        if let Push::Publication(publication) = push
            && is_wanted(&serde_json::from_str(&publication.payload.as_text()).unwrap())
        {
            return;
        }
    }
}

/// The code with which the server refused.
fn refusal<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    match outcome.unwrap_err() {
        Error::Refused(refusal) => refusal.code,
        error => panic!("{error}"),
    }
}
