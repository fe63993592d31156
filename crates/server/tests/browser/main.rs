//! The chat page in real browsers against the real program, as the stories of people who use it.
//!
//! `program` runs `fanfare serve`, `chromium` runs the browsers, `page` is one open chat page as a person sees and
//! uses it. Everything else is stories. Nothing here waits for a fixed time: a story looks at a page again until it
//! shows what is expected, and fails with what it shows instead.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]

mod chromium;
mod page;
mod program;

mod accessibility;
mod conversation;
mod hostile_text;
mod keyboard;
mod looks;
mod publications;
mod restart;
mod rooms;

use std::time::Duration;

use chromium::{Browsers, Screen};
use page::Page;
use program::Program;

/// How long anything may take before the story fails.
const DEADLINE: Duration = Duration::from_secs(15);

/// How long to wait before looking again.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// One server and the browsers of everyone in a story. The browsers end before the server does.
struct House {
    browsers: Browsers,
    program: Program,
}

impl House {
    fn open() -> Self {
        Self::with(Program::start(&[]))
    }

    fn with(program: Program) -> Self {
        Self {
            browsers: Browsers::start(),
            program,
        }
    }

    /// Somebody new comes to the lobby in a browser of their own and gives a name.
    async fn welcome(&self, name: &str) -> Page {
        self.welcome_to("", name).await
    }

    /// The same by an address such as `#/ROOM`.
    async fn welcome_to(&self, address: &str, name: &str) -> Page {
        let page = self.stranger(address, Screen::Desktop).await;
        page.introduce(name).await;
        page
    }

    /// Somebody new stands before the question for a name.
    async fn stranger(&self, address: &str, screen: Screen) -> Page {
        let client = self.browsers.open(screen).await;
        let page = Page::new(client);
        page.go(&format!("{}/{address}", self.program.url())).await;
        page
    }
}
