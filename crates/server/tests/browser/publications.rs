//! What did not come from a chat page is shown all the same.

use crate::House;

#[tokio::test]
async fn whatever_anyone_publishes_is_shown() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    let mut raw = house.raw_client();
    for text in ["plain text, 文字", "{\"deploy\":\"4.2\"}", "42"] {
        raw.send(text);
    }
    raw.send(vec![0, 255]);
    let shown = maja
        .until("four messages", |shown| shown.messages.len() == 4)
        .await;
    assert_eq!(
        shown.conversation(),
        [
            "guest: plain text, 文字",
            "guest: {\"deploy\":\"4.2\"}",
            "guest: 42",
            "guest: AP8=",
        ]
    );
    assert!(shown.messages.iter().all(|message| !message.is_own));
    assert_eq!(maja.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_backend_pushes_with_curl() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    for (path, body) in [
        ("/api/publish?topic=lobby", "hello"),
        ("/api/broadcast", "to everyone"),
    ] {
        let answer = house.program.request("POST", path, &[], body);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    maja.hears("server: hello").await;
}

#[tokio::test]
async fn ten_lines_are_a_client() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    let page = house.ten_lines().await;
    page.until_found("return String(socket.readyState)", "1").await;
    page.click_on("input").await;
    page.press("from ten lines\u{e007}").await;
    maja.hears("guest: from ten lines").await;
    let answer = house
        .program
        .request("POST", "/api/publish?topic=lobby", &[], "hello");
    assert_eq!(answer.status, 200, "{answer:?}");
    page.until_found("return log.textContent", "from ten lines\nhello\n")
        .await;
}
