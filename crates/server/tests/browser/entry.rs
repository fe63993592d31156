//! Who is let in: with a token in the address of the page, and what somebody is told who is not.

use std::process::Command;

use fanfare_testing::Screen;

use crate::House;

const KEY: &str = "hs256:0123456789abcdef0123456789abcdef";
const RULE: &str = r#"{ pattern = "*", subscribe = "users", publish = "subscribers" }"#;

#[tokio::test]
async fn a_token_in_the_address_of_the_page_is_shown_to_the_server() {
    let house = House::with(&["--open=false", "--token-key", KEY, "--topic-rule", RULE]);
    let mut make = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    make.args(["token", "make", "--key", KEY, "--user", "ada"]);
    let token = String::from_utf8(make.output().unwrap().stdout).unwrap();
    let ada = house
        .welcome_to(&format!("?token={}", token.trim_end()), "Ada")
        .await;
    ada.say("Good morning!").await;
    ada.until("it has arrived", |shown| {
        shown.messages.iter().all(|message| message.state == "confirmed")
    })
    .await;

    let stranger = house.stranger("", Screen::Desktop).await;
    let shown = stranger
        .until("the room is closed", |shown| shown.error.is_some())
        .await;
    let error = shown.error.unwrap();
    assert!(error.contains("lobby cannot be joined"), "{error}");
}

#[tokio::test]
async fn a_page_that_is_not_let_in_says_so_and_goes_on_trying() {
    let house = House::with(&["--open=false"]);
    let stranger = house.stranger("", Screen::Desktop).await;
    // Shown, and read aloud.
    for id in ["state-text", "announced"] {
        let script = format!("return document.getElementById('{id}').textContent");
        stranger
            .until_found(&script, "The server does not let this page in")
            .await;
    }
    assert_eq!(stranger.look().await.state, "reconnecting");
}
