//! What tests share that take a program as a black box: the program itself as a process, a plain WebSocket to it, and
//! people at real browsers. Nothing here knows what the program is about, and nothing waits for a fixed time: a test
//! looks again until it sees what is expected, and fails with what it sees instead.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]

#[cfg(feature = "browser")]
mod browser;
mod line;
mod program;
mod socket;
#[cfg(feature = "browser")]
mod tab;

use std::time::Duration;

#[cfg(feature = "browser")]
pub use browser::{Browsers, PHONE, Phone, Screen};
pub use line::Line;
pub use program::{Answer, Program};
pub use socket::Socket;
#[cfg(feature = "browser")]
pub use tab::Tab;

/// How long anything may take before a test fails.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// How long to wait before looking again.
pub const LOOK_AGAIN: Duration = Duration::from_millis(25);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    fn pages(example: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/{example}/pages"))
    }

    const EXAMPLES: [&str; 3] = ["chat_room", "middleware_auth", "topics"];

    /// Each example stands alone when it is copied, so each has these files; but they are written once.
    #[test]
    fn the_pages_of_the_examples_have_one_style_and_one_way_to_connect() {
        for file in ["style.css", "connection.js"] {
            let [first, rest @ ..] =
                EXAMPLES.map(|example| fs::read_to_string(pages(example).join(file)).unwrap());
            assert!(
                rest.iter().all(|other| *other == first),
                "{file} is not the same everywhere"
            );
        }
    }

    #[test]
    fn nothing_is_put_into_the_pages_of_the_examples_as_html() {
        for file in EXAMPLES
            .iter()
            .flat_map(|example| fs::read_dir(pages(example)).unwrap())
        {
            let path = file.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "onclick=",
                "<style",
                "style=",
            ] {
                assert!(!text.contains(word), "{} has {word}", path.display());
            }
        }
    }
}
