//! What was said before, and what was said while somebody was away.

use fanfare_testing::{Line, Screen};

use crate::House;
use crate::page::Page;

#[tokio::test]
async fn a_newcomer_sees_what_was_said_before() {
    let house = House::with(&["--history-frames", "100"]);
    let maja = house.welcome("Maja").await;
    let said: Vec<String> = (1..=60).map(|number| format!("number {number}")).collect();
    publish(&house, &said);
    maja.say("And me").await;

    let tomas = house.welcome("Tomás").await;
    tomas.hears("Maja: And me").await;
    let heard = tomas.look().await;
    let expected = said[11..].iter().map(|content| format!("server: {content}"));
    let expected: Vec<String> = expected.chain(["Maja: And me".to_owned()]).collect();
    assert_eq!(heard.conversation(), expected, "the last 50");
    assert_eq!((heard.notes, heard.title.contains('(')), (vec![], false));
    tomas.say("Good morning").await;
    maja.hears("Tomás: Good morning").await;
    assert_eq!(maja.look().await.messages.len(), 62);
    for page in [&maja, &tomas] {
        assert_eq!(page.complaints().await, [""; 0]);
    }
}

#[tokio::test]
async fn whoever_comes_back_knows_their_own_words_and_what_is_new() {
    let house = House::with(&["--history-frames", "100"]);
    let maja = house.welcome("Maja").await;
    maja.say("Mine").await;
    maja.join("design").await;
    maja.reload().await;
    let shown = maja.look().await;
    assert_eq!((shown.room.as_str(), shown.unread("lobby")), ("design", Some(0)));
    publish(&house, &["Later".to_owned()]);
    maja.until("one is unread", |shown| shown.unread("lobby") == Some(1))
        .await;
    maja.reload().await;
    maja.until("it is unread still", |shown| shown.unread("lobby") == Some(1))
        .await;
    maja.open("lobby").await;
    let shown = maja.look().await;
    assert_eq!(shown.conversation(), ["Maja: Mine", "server: Later"]);
    assert!(shown.messages[0].is_own);
}

#[tokio::test]
async fn whoever_was_away_sees_what_was_missed_once_and_in_order() {
    let house = House::with(&["--history-frames", "100"]);
    let line = Line::to(house.program.address());
    let maja = behind(&house, &line, Screen::Desktop).await;
    maja.say("Before").await;
    let mut expected = vec!["Maja: Before".to_owned()];
    for round in 0..3 {
        away(&maja, &line).await;
        let missed: Vec<String> = (1..=20).map(|number| format!("{round}: {number}")).collect();
        publish(&house, &missed);
        maja.write(&format!("Written in round {round}")).await;
        line.mend();
        expected.extend(missed.iter().map(|content| format!("server: {content}")));
        expected.push(format!("Maja: Written in round {round}"));
        maja.until("all is there", |shown| {
            let is_confirmed = shown.messages.iter().all(|message| message.state == "confirmed");
            is_confirmed && shown.conversation() == expected
        })
        .await;
    }
    assert_eq!(maja.look().await.notes, [""; 0]);
}

#[tokio::test]
async fn what_is_kept_no_more_is_said_where_it_would_be() {
    let house = House::with(&["--history-frames", "3"]);
    let line = Line::to(house.program.address());
    let maja = behind(&house, &line, Screen::Phone).await;
    maja.say("Before").await;
    away(&maja, &line).await;
    let missed: Vec<String> = (1..=10).map(|number| format!("number {number}")).collect();
    publish(&house, &missed);
    line.mend();
    maja.hears("server: number 10").await;
    assert_eq!(
        lines(&maja).await,
        [
            "Before",
            "7 messages missed here",
            "number 8",
            "number 9",
            "number 10"
        ]
    );
    // A part of what is read out, once the past is on screen.
    let announced = "[role=log][aria-live=polite]:not([aria-busy]) .note";
    let script = format!("return String(document.querySelector('{announced}') !== null)");
    maja.until_found(&script, "true").await;
}

#[tokio::test]
async fn what_arrived_although_the_line_broke_is_confirmed_by_its_echo() {
    let house = House::with(&["--history-frames", "100"]);
    let line = Line::to(house.program.address());
    let maja = behind(&house, &line, Screen::Desktop).await;
    house.program.freeze();
    maja.write("Did this arrive?").await;
    maja.until("it was handed to the connection", |shown| {
        shown.messages.iter().any(|message| message.state == "sent")
    })
    .await;
    line.cut();
    maja.until("nobody knows whether it arrived", |shown| {
        shown.messages.iter().any(|message| message.state == "unsure")
    })
    .await;
    house.program.thaw();
    line.mend();
    let shown = maja
        .until("it is confirmed", |shown| {
            shown.messages.iter().all(|message| message.state == "confirmed")
        })
        .await;
    assert_eq!(shown.conversation(), ["Maja: Did this arrive?"]);
    assert!(shown.messages[0].is_own);
}

#[tokio::test]
async fn where_nothing_is_kept_only_the_number_of_what_was_missed_is_said() {
    let house = House::with(&["--history-frames", "0"]);
    let tomas = house.welcome("Tomás").await;
    tomas.say("Before").await;
    let line = Line::to(house.program.address());
    let maja = behind(&house, &line, Screen::Desktop).await;
    tomas.say("Hello").await;
    maja.hears("Tomás: Hello").await;
    away(&maja, &line).await;
    line.mend();
    maja.connected().await;
    away(&maja, &line).await;
    publish(&house, &["one".to_owned(), "two".to_owned()]);
    line.mend();
    maja.connected().await;
    tomas.say("After").await;
    maja.hears("Tomás: After").await;
    assert_eq!(lines(&maja).await, ["Hello", "2 messages missed here", "After"]);
}

/// Maja comes to the lobby over a line of her own.
async fn behind(house: &House, line: &Line, screen: Screen) -> Page {
    let page = Page::new(house.browsers.open(screen).await);
    page.go(&line.url("/")).await;
    page.introduce("Maja").await;
    page
}

async fn away(page: &Page, line: &Line) {
    line.cut();
    page.until("reconnecting", |shown| shown.state == "reconnecting")
        .await;
}

/// The backend says something in the lobby.
fn publish(house: &House, contents: &[String]) {
    for content in contents {
        let answer = house
            .program
            .request("POST", "/api/publish?topic=lobby", &[], content);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// Contents and notes from top to bottom.
async fn lines(page: &Page) -> Vec<String> {
    page.read(
        "const lines = document.querySelectorAll('#log .note, #log [data-testid=content]');
         return [...lines].map((line) => line.textContent);",
    )
    .await
}
