//! One open chat page, used and read as a person would: by typing, clicking and looking.

use std::ops::Deref;
use std::time::Instant;

use fanfare_testing::Tab;
use serde::Deserialize;

use crate::{DEADLINE, LOOK_AGAIN};

/// The chat page in a browser of its own.
pub(crate) struct Page(Tab);

impl Deref for Page {
    type Target = Tab;

    fn deref(&self) -> &Tab {
        &self.0
    }
}

/// What a page shows, read in one look.
#[derive(Debug, Deserialize)]
pub(crate) struct Shown {
    pub(crate) state: String,
    pub(crate) room: String,
    pub(crate) rooms: Vec<ShownRoom>,
    pub(crate) here: Option<u64>,
    pub(crate) messages: Vec<ShownMessage>,
    pub(crate) notes: Vec<String>,
    pub(crate) name: String,
    pub(crate) error: Option<String>,
    pub(crate) title: String,
}

/// One line of the list of rooms.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct ShownRoom {
    pub(crate) name: String,
    pub(crate) unread: u64,
    pub(crate) is_active: bool,
}

/// One message of the room on screen.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct ShownMessage {
    pub(crate) author: String,
    pub(crate) content: String,
    pub(crate) is_own: bool,
    pub(crate) state: String,
}

impl Shown {
    /// Authors and contents from top to bottom, as `Maja: hello`.
    pub(crate) fn conversation(&self) -> Vec<String> {
        self.messages
            .iter()
            .map(|message| format!("{}: {}", message.author, message.content))
            .collect()
    }

    /// The message of that content.
    pub(crate) fn message(&self, content: &str) -> Option<&ShownMessage> {
        self.messages.iter().find(|message| message.content == content)
    }

    /// How many messages of a room are unread; none when it is not in the list.
    pub(crate) fn unread(&self, room: &str) -> Option<u64> {
        self.rooms
            .iter()
            .find(|listed| listed.name == room)
            .map(|listed| listed.unread)
    }

    pub(crate) fn room_names(&self) -> Vec<&str> {
        self.rooms.iter().map(|room| &*room.name).collect()
    }
}

impl Page {
    pub(crate) fn new(tab: Tab) -> Self {
        Self(tab)
    }

    /// Loads an address and waits until the page has come to life.
    pub(crate) async fn go(&self, address: &str) {
        self.0.go(address).await;
        self.until("the page says whether it is connected", |shown| {
            !shown.state.is_empty()
        })
        .await;
    }

    pub(crate) async fn reload(&self) {
        self.0.reload().await;
        self.connected().await;
    }

    /// Leaves for good: closes the browser.
    pub(crate) async fn leave(self) {
        self.0.leave().await;
    }

    /// Answers the question for a name.
    pub(crate) async fn introduce(&self, name: &str) {
        self.find("name-input").await.send_keys(name).await.unwrap();
        self.click("name-save").await;
        self.connected().await;
    }

    pub(crate) async fn connected(&self) {
        self.until("connected, and counted in the room", |shown| {
            shown.state == "connected" && shown.here.is_some()
        })
        .await;
    }

    /// Writes a message and waits until the server has confirmed it.
    pub(crate) async fn say(&self, content: &str) {
        self.write(content).await;
        self.until(&format!("{content:?} is confirmed"), |shown| {
            shown
                .message(content)
                .is_some_and(|message| message.state == "confirmed")
        })
        .await;
    }

    /// Writes a message and sends it.
    pub(crate) async fn write(&self, content: &str) {
        let composer = self.find("composer").await;
        composer.send_keys(content).await.unwrap();
        self.click("send").await;
    }

    pub(crate) async fn hears(&self, line: &str) {
        self.until(&format!("{line:?} is heard"), |shown| {
            shown.conversation().iter().any(|heard| heard == line)
        })
        .await;
    }

    pub(crate) async fn join(&self, room: &str) {
        self.find("room-input").await.send_keys(room).await.unwrap();
        self.click("room-join").await;
        self.until(&format!("{room:?} is open"), |shown| {
            shown.room == room && shown.here.is_some()
        })
        .await;
    }

    pub(crate) async fn open(&self, room: &str) {
        let selector = format!("[data-testid=room][data-room='{room}']");
        self.click_on(&selector).await;
        self.until(&format!("{room:?} is open"), |shown| shown.room == room)
            .await;
    }

    /// Looks until the page shows what is wanted; the last look.
    pub(crate) async fn until(&self, wanted: &str, is_shown: impl Fn(&Shown) -> bool) -> Shown {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let shown = self.look().await;
            if is_shown(&shown) {
                return shown;
            }
            assert!(Instant::now() < deadline, "not shown: {wanted}\nbut {shown:#?}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// What the page shows now.
    pub(crate) async fn look(&self) -> Shown {
        self.read(LOOK).await
    }
}

const LOOK: &str = r#"
    const parts = (hook, from = document) => [...from.querySelectorAll(`[data-testid="${hook}"]`)];
    const text = (hook, from) => parts(hook, from)[0]?.textContent ?? "";
    const count = (hook, from) => {
        const part = parts(hook, from)[0];
        return part && !part.hidden ? Number(part.dataset.count) : null;
    };
    const error = parts("error")[0];
    return {
        state: parts("state")[0].dataset.state,
        room: document.querySelector("h1").textContent,
        rooms: parts("room").map((room) => ({
            name: room.querySelector(".room-name").textContent,
            unread: count("unread", room) ?? 0,
            is_active: room.getAttribute("aria-current") === "true",
        })),
        here: count("occupancy"),
        messages: parts("message").map((message) => ({
            author: text("author", message),
            content: text("content", message),
            is_own: message.dataset.own === "true",
            state: message.dataset.state,
        })),
        notes: [...document.querySelectorAll(".note")].map((note) => note.textContent),
        name: document.getElementById("me-name").textContent,
        error: error.hidden ? null : document.getElementById("error-text").textContent,
        title: document.title,
    };
"#;
