//! The chat without a mouse.

use fanfare_testing::Screen;
use fantoccini::key::Key;

use crate::House;
use crate::page::Page;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// More steps than the page has stops.
const STOPS_MAX: usize = 40;

#[tokio::test]
async fn name_message_and_room_need_no_mouse() {
    let house = House::open();
    let maja = house.stranger("", Screen::Desktop).await;
    maja.press("Maja").await;
    maja.press(ENTER).await;
    maja.connected().await;
    maja.press("Typed at once").await;
    maja.press(ENTER).await;
    maja.hears("Maja: Typed at once").await;

    tab_to(&maja, "room-input").await;
    maja.press("design").await;
    maja.press(ENTER).await;
    maja.until("the room is open", |shown| shown.room == "design")
        .await;
    assert_eq!(focus(&maja).await, "composer");
    maja.press("And here").await;
    tab_to(&maja, "send").await;
    maja.press(ENTER).await;
    maja.hears("Maja: And here").await;
    assert_eq!(focus(&maja).await, "composer");

    maja.press_with(Key::Alt, Key::Up).await;
    maja.until("the room above is open", |shown| shown.room == "lobby")
        .await;
    maja.press_with(Key::Control, 'k').await;
    assert_eq!(focus(&maja).await, "room-input");
    maja.press(ESCAPE).await;
    assert_eq!(focus(&maja).await, "composer");
    tab_to(&maja, "room-leave").await;
    maja.press(ENTER).await;
    maja.until("the lobby was left", |shown| shown.room_names() == ["design"])
        .await;
}

#[tokio::test]
async fn every_control_is_a_stop_and_its_focus_is_seen() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    let wanted = [
        "room",
        "room-input",
        "room-join",
        "name-change",
        "language",
        "theme",
        "keys",
        "room-leave",
        "composer",
        "send",
    ];
    let mut visited = Vec::new();
    for _ in 0..STOPS_MAX {
        maja.press(TAB).await;
        visited.push(focus(&maja).await);
        assert!(is_focus_seen(&maja).await, "no outline on {visited:?}");
    }
    for hook in wanted {
        assert!(
            visited.iter().any(|stop| stop == hook),
            "{hook} is not among {visited:?}"
        );
    }
}

/// Presses Tab until the part with that hook has the focus.
async fn tab_to(page: &Page, hook: &str) {
    let mut visited = Vec::new();
    while focus(page).await != hook {
        assert!(visited.len() < STOPS_MAX, "{hook} is not among {visited:?}");
        visited.push(focus(page).await);
        page.press(TAB).await;
    }
}

/// The hook of what has the focus, or its tag.
async fn focus(page: &Page) -> String {
    page.read("const focused = document.activeElement; return focused.dataset.testid ?? focused.tagName")
        .await
}

async fn is_focus_seen(page: &Page) -> bool {
    page.read(
        "const focused = document.activeElement;
         if (focused === document.body) return true;
         const shape = getComputedStyle(focused.id === 'composer' ? focused.parentElement : focused);
         return shape.outlineStyle !== 'none' || shape.boxShadow !== 'none';",
    )
    .await
}
