//! The server goes away and comes back; people need do nothing.

use crate::House;
use crate::page::{Page, Shown};

#[tokio::test]
async fn everyone_comes_back_by_themselves_after_a_crash() {
    let mut house = House::open();
    let (maja, tomas) = two_in_two_rooms(&house).await;
    house.program.kill();
    for page in [&maja, &tomas] {
        page.until("reconnecting", |shown| {
            shown.state == "reconnecting" && shown.here.is_none()
        })
        .await;
    }
    maja.write("Written meanwhile").await;
    maja.until("it waits", |shown| {
        shown
            .message("Written meanwhile")
            .is_some_and(|message| message.state == "waiting")
    })
    .await;
    house.program.start_again();
    they_are_back(&maja, &tomas).await;
    maja.until("what was written meanwhile was sent once", |shown| {
        shown.messages.iter().all(|message| message.state == "confirmed")
    })
    .await;
    let count = |lines: &[String]| {
        lines
            .iter()
            .filter(|line| *line == "Maja: Written meanwhile")
            .count()
    };
    assert_eq!(count(&maja.look().await.conversation()), 1);
    let note = "The server started this room anew; messages may be missing here";
    assert_eq!(
        maja.look().await.notes,
        [note],
        "the history is gone, and that is said"
    );
}

#[tokio::test]
async fn everyone_comes_back_by_themselves_after_a_goodbye() {
    let mut house = House::with(&["--shutdown-window", "1s"]);
    let (maja, tomas) = two_in_two_rooms(&house).await;
    house.program.terminate();
    for page in [&maja, &tomas] {
        page.until("reconnecting", |shown| shown.state == "reconnecting")
            .await;
    }
    house.program.start_again();
    they_are_back(&maja, &tomas).await;
}

#[tokio::test]
async fn what_may_not_have_arrived_is_sent_again_only_when_wanted() {
    let mut house = House::open();
    let maja = house.welcome("Maja").await;
    house.program.freeze();
    maja.write("Did this arrive?").await;
    maja.until("it was handed to the connection", |shown| {
        shown
            .message("Did this arrive?")
            .is_some_and(|message| message.state == "sent")
    })
    .await;
    house.program.kill();
    let is_unsure = |shown: &Shown| {
        shown
            .message("Did this arrive?")
            .is_some_and(|message| message.state == "unsure")
    };
    maja.until("nobody knows whether it arrived", is_unsure).await;
    house.program.start_again();
    maja.connected().await;
    assert!(is_unsure(&maja.look().await));
    maja.click_on("[data-state=unsure] button").await;
    let shown = maja
        .until("it is confirmed", |shown| {
            shown.messages.iter().all(|message| message.state == "confirmed")
        })
        .await;
    assert_eq!(shown.conversation(), ["Maja: Did this arrive?"]);
}

/// Both are in the lobby and in a room of their own making, with the lobby on screen, and have talked.
async fn two_in_two_rooms(house: &House) -> (Page, Page) {
    let (maja, tomas) = (house.welcome("Maja").await, house.welcome("Tomás").await);
    for page in [&maja, &tomas] {
        page.join("design").await;
        page.open("lobby").await;
    }
    maja.say("Before").await;
    tomas.hears("Maja: Before").await;
    (maja, tomas)
}

/// Both are connected, in both rooms, and hear each other in both; what was on screen still is.
async fn they_are_back(maja: &Page, tomas: &Page) {
    for page in [maja, tomas] {
        page.until("connected, both in the lobby", |shown| {
            shown.state == "connected" && shown.here == Some(2)
        })
        .await;
        assert!(
            page.look()
                .await
                .conversation()
                .contains(&"Maja: Before".to_owned())
        );
    }
    tomas.say("After").await;
    maja.hears("Tomás: After").await;
    tomas.open("design").await;
    tomas.say("Here too").await;
    maja.until("the other room is heard", |shown| {
        shown.unread("design") == Some(1)
    })
    .await;
}
