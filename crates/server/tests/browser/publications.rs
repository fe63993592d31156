//! What did not come from a chat page is shown all the same.

use crate::House;

#[tokio::test]
async fn whatever_anyone_publishes_is_shown() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    let mut raw = house.program.raw_client("lobby");
    for text in ["plain text, 文字", "{\"deploy\":\"4.2\"}", "42"] {
        raw.send(text.into()).unwrap();
    }
    raw.send(tungstenite::Message::binary(vec![0, 255])).unwrap();
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
