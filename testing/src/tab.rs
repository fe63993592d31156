//! One open page, used and read as a person would: by typing, clicking and looking.

use std::time::Instant;

use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, Locator};
use hyper::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::{ParseError, Url};

use crate::{DEADLINE, LOOK_AGAIN};

/// A page in a browser of its own. Its parts are found by their hook, the attribute `data-testid`.
#[derive(Debug)]
pub struct Tab(Client);

impl Tab {
    pub(crate) fn new(client: Client) -> Self {
        Self(client)
    }

    /// Loads an address.
    pub async fn go(&self, address: &str) {
        self.0.goto(address).await.unwrap();
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.0.refresh().await.unwrap();
    }

    /// Leaves for good: closes the browser.
    pub async fn leave(self) {
        self.0.close().await.unwrap();
    }

    /// Types into the part with that hook.
    pub async fn type_into(&self, hook: &str, text: &str) {
        self.find(hook).await.send_keys(text).await.unwrap();
    }

    /// Presses keys where the focus is.
    pub async fn press(&self, keys: &str) {
        let focused = self.0.active_element().await.unwrap();
        focused.send_keys(keys).await.unwrap();
    }

    /// Presses a key together with a modifier.
    pub async fn press_with(&self, modifier: Key, key: impl Into<char>) {
        let keys = [char::from(modifier), key.into(), Key::Null.into()];
        self.press(&keys.iter().collect::<String>()).await;
    }

    /// Clicks on the part with that hook.
    pub async fn click(&self, hook: &str) {
        self.click_on(&format!("[data-testid={hook}]")).await;
    }

    /// Clicks as soon as it can be clicked on: what slides into view takes its time.
    pub async fn click_on(&self, selector: &str) {
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
    pub async fn find(&self, hook: &str) -> Element {
        let selector = format!("[data-testid={hook}]");
        self.0
            .find(Locator::Css(&selector))
            .await
            .unwrap_or_else(|error| panic!("{hook}: {error}"))
    }

    /// All parts that a selector of CSS finds.
    pub async fn find_all(&self, selector: &str) -> Vec<Element> {
        self.0.find_all(Locator::Css(selector)).await.unwrap()
    }

    /// Asks a script until it finds what is wanted.
    pub async fn until_found(&self, script: &str, wanted: &str) {
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

    /// What a script finds in the page.
    pub async fn read<T: DeserializeOwned>(&self, script: &str) -> T {
        let found = self.0.execute(script, Vec::new()).await.unwrap();
        serde_json::from_value(found.clone()).unwrap_or_else(|error| panic!("{error} in {found}"))
    }

    /// What the browser's console complained of since the last time: refused content, failed scripts, missing files.
    pub async fn complaints(&self) -> Vec<String> {
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
    pub async fn name_of(&self, element: &Element) -> String {
        self.computed(element, "computedlabel").await
    }

    /// What a screen reader takes an element for.
    pub async fn role_of(&self, element: &Element) -> String {
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
