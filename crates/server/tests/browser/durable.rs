//! With a data directory, nobody notices more of a crash than the break: every message is there once.

use std::fs;
use std::path::PathBuf;

use fanfare_testing::Screen;

use crate::event_source::{page, publish};
use crate::{House, serve_once};

/// A data directory; it goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("fanfare-browser-data-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn house(&self) -> House {
        House::with(&["--data", self.0.to_str().unwrap(), "--history-frames", "1000"])
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn pages_that_stay_open_show_every_message_once_over_crashes_of_the_server() {
    let folder = Folder::new("chat");
    let mut house = folder.house();
    let (maja, tomas) = (house.welcome("Maja").await, house.welcome("Tomás").await);
    // Where nothing was said yet, nothing is missing either.
    maja.join("empty").await;
    maja.open("lobby").await;
    maja.say("Before").await;
    tomas.hears("Maja: Before").await;
    for round in 1..=3 {
        publish(&house, "lobby", round);
        tomas.say(&format!("Right before crash {round}")).await;
        house.program.kill();
        for page in [&maja, &tomas] {
            page.until("reconnecting", |shown| shown.state == "reconnecting")
                .await;
        }
        maja.write(&format!("During crash {round}")).await;
        house.program.start_again();
        // Somebody may be quicker than those who come back.
        publish(&house, "lobby", 10 * round);
        let count = 1 + 4 * round;
        for page in [&maja, &tomas] {
            page.until("all is there", |shown| {
                let is_confirmed = shown.messages.iter().all(|message| message.state == "confirmed");
                is_confirmed && shown.messages.len() == count
            })
            .await;
        }
    }
    let (seen_by_maja, seen_by_tomas) = (maja.look().await, tomas.look().await);
    assert_eq!(seen_by_maja.conversation(), seen_by_tomas.conversation());
    let mut seen = seen_by_maja.conversation();
    let mut expected = vec!["Maja: Before".to_owned()];
    for round in 1..=3 {
        expected.extend([
            format!("server: {round}"),
            format!("Tomás: Right before crash {round}"),
            format!("Maja: During crash {round}"),
            format!("server: {}", 10 * round),
        ]);
    }
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    assert_eq!((seen_by_maja.notes, seen_by_tomas.notes), (vec![], vec![]));
    maja.open("empty").await;
    assert_eq!(maja.look().await.notes, [""; 0]);
    maja.open("lobby").await;
    // Whoever comes later sees the same.
    let linh = house.welcome("Linh").await;
    linh.until("the past", |shown| shown.messages.len() == 13).await;
    assert_eq!(linh.look().await.conversation(), maja.look().await.conversation());
}

#[tokio::test]
async fn an_event_source_goes_on_over_crashes_of_the_server() {
    let folder = Folder::new("events");
    let mut house = folder.house();
    publish(&house, "a", 1);
    publish(&house, "b", 1);
    let tab = house.browsers.open(Screen::Desktop).await;
    tab.go(&serve_once(page(house.program.address()))).await;
    tab.until_found("return begun.join(' ')", "new,new").await;
    let (mut begun, mut seen) = ("new,new".to_owned(), Vec::new());
    for round in 1..=3 {
        publish(&house, "a", 10 * round);
        house.program.kill();
        house.program.start_again();
        publish(&house, "a", 10 * round + 1);
        publish(&house, "b", 10 * round + 2);
        begun.push_str(" true,true");
        tab.until_found("return begun.join(' ')", &begun).await;
        seen.extend([10 * round, 10 * round + 1].map(|number: usize| number.to_string()));
        tab.until_found("return seen.a.join()", &seen.join(",")).await;
    }
    tab.until_found("return seen.b.join()", "12,22,32").await;
}
