//! One open chat page, used and read as a person would: by typing, clicking and looking.

use std::time::Instant;

use axum::http::Method;
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, Locator};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::{ParseError, Url};

use crate::{DEADLINE, LOOK_AGAIN};

/// A page in a browser of its own.
pub(crate) struct Page(Client);

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
    pub(crate) fn new(client: Client) -> Self {
        Self(client)
    }

    /// Loads an address and waits until the page has come to life.
    pub(crate) async fn go(&self, address: &str) {
        self.0.goto(address).await.unwrap();
        self.until("the page says whether it is connected", |shown| {
            !shown.state.is_empty()
        })
        .await;
    }

    pub(crate) async fn reload(&self) {
        self.0.refresh().await.unwrap();
        self.connected().await;
    }

    /// Leaves for good: closes the browser.
    pub(crate) async fn leave(self) {
        self.0.close().await.unwrap();
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

    /// Presses keys where the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        let focused = self.0.active_element().await.unwrap();
        focused.send_keys(keys).await.unwrap();
    }

    /// Presses a key together with a modifier.
    pub(crate) async fn press_with(&self, modifier: Key, key: impl Into<char>) {
        let keys = [char::from(modifier), key.into(), Key::Null.into()];
        self.press(&keys.iter().collect::<String>()).await;
    }

    /// Clicks on the part with that hook.
    pub(crate) async fn click(&self, hook: &str) {
        self.click_on(&format!("[data-testid={hook}]")).await;
    }

    /// Clicks as soon as it can be clicked on: what slides into view takes its time.
    pub(crate) async fn click_on(&self, selector: &str) {
        let deadline = Instant::now() + DEADLINE;
        let part = self.0.find(Locator::Css(selector)).await.unwrap();
        while let Err(error) = part.click().await {
            assert!(
                Instant::now() < deadline,
                "{selector} cannot be clicked on: {error}"
            );
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The part with that hook.
    pub(crate) async fn find(&self, hook: &str) -> Element {
        let selector = format!("[data-testid={hook}]");
        self.0
            .find(Locator::Css(&selector))
            .await
            .unwrap_or_else(|error| panic!("{hook}: {error}"))
    }

    pub(crate) async fn find_all(&self, selector: &str) -> Vec<Element> {
        self.0.find_all(Locator::Css(selector)).await.unwrap()
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

    /// Asks a script until it finds what is wanted.
    pub(crate) async fn until_found(&self, script: &str, wanted: &str) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let found: String = self.read(script).await;
            if found == wanted {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{script} found {found:?}, not {wanted:?}"
            );
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// What the page shows now.
    pub(crate) async fn look(&self) -> Shown {
        self.read(LOOK).await
    }

    /// What a script finds in the page.
    pub(crate) async fn read<T: DeserializeOwned>(&self, script: &str) -> T {
        let found = self.0.execute(script, Vec::new()).await.unwrap();
        serde_json::from_value(found.clone()).unwrap_or_else(|error| panic!("{error} in {found}"))
    }

    /// What the browser's console complained of since the last time: refused content, failed scripts, missing files.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self
            .ask(Method::POST, "se/log", Some(json!({"type": "browser"})))
            .await;
        log.as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING")
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The name a screen reader says for an element, as the browser computes it.
    pub(crate) async fn name_of(&self, element: &Element) -> String {
        self.computed(element, "computedlabel").await
    }

    /// What a screen reader takes an element for.
    pub(crate) async fn role_of(&self, element: &Element) -> String {
        self.computed(element, "computedrole").await
    }

    async fn computed(&self, element: &Element, property: &str) -> String {
        let path = format!("element/{}/{property}", &*element.element_id());
        let value = self.ask(Method::GET, &path, None).await;
        value.as_str().unwrap().to_owned()
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let path = path.to_owned();
        self.0
            .issue_cmd(SessionCommand { method, path, body })
            .await
            .unwrap()
    }
}

/// A command of the browser's session that the WebDriver client has no function for.
#[derive(Debug)]
struct SessionCommand {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl WebDriverCompatibleCommand for SessionCommand {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _url: &Url) -> (Method, Option<String>) {
        (self.method.clone(), self.body.as_ref().map(ToString::to_string))
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
