//! The chat page: files embedded in the program and found by their exact name, under a strict content policy.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// One embedded file.
struct Page {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! pages {
    ($($name:literal $kind:ident),+ $(,)?) => {
        &[$(Page { name: $name, kind: $kind, content: include_str!(concat!("../../pages/", $name)) }),+]
    };
}

const INDEX: Page = Page {
    name: "index.html",
    kind: HTML,
    content: include_str!("../../pages/index.html"),
};

/// Everything that may be asked for below `/pages/`.
const PAGES: &[Page] = pages![
    "address.js" SCRIPT,
    "chat.js" SCRIPT,
    "connection.js" SCRIPT,
    "log.js" SCRIPT,
    "memory.js" SCRIPT,
    "message.js" SCRIPT,
    "publication.js" SCRIPT,
    "rooms.js" SCRIPT,
    "theme.js" SCRIPT,
    "view.js" SCRIPT,
    "words.js" SCRIPT,
    "style.css" STYLE,
    "favicon.svg" IMAGE,
];

/// Nothing but the page's own files, and connections to its own host. No inline script or style, no frames around.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `/` and `/pages/NAME`.
pub(super) fn router() -> Router {
    Router::new()
        .route("/", get(async || answer(&INDEX)))
        .route("/pages/{name}", get(page))
}

async fn page(Path(name): Path<String>) -> Response {
    match PAGES.iter().find(|page| page.name == name) {
        Some(page) => answer(page),
        None => (StatusCode::NOT_FOUND, "no such page\n").into_response(),
    }
}

fn answer(page: &Page) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        // The files belong to one build of the program: after an upgrade the next load must be all new.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (HEADERS, [(header::CONTENT_TYPE, page.kind)], page.content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served_and_every_import_exists() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/pages");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_served = PAGES.iter().any(|page| page.name == name);
            assert!(
                is_served || name == INDEX.name || name == "README.md",
                "{name} is not served"
            );
        }
    }

    #[test]
    fn nothing_is_put_into_a_page_as_html() {
        for page in PAGES.iter().filter(|page| page.kind == SCRIPT) {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
            ] {
                assert!(!page.content.contains(word), "{} uses {word}", page.name);
            }
        }
        for word in ["<style", "onclick=", "style=", "javascript:"] {
            assert!(!INDEX.content.contains(word), "the content policy refuses {word}");
        }
    }
}
