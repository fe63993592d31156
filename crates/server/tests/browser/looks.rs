//! Language, theme and small screens.

use fanfare_testing::{PHONE, Screen};

use crate::House;
use crate::page::Page;

#[tokio::test]
async fn the_language_is_changed_and_kept() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    maja.say("Hello").await;
    assert_eq!(
        texts(&maja).await,
        ["en-US", "Send", "Rooms", "Leave", "Message to lobby", "Today"]
    );
    maja.click("language").await;
    let chinese = ["zh-CN", "发送", "房间", "离开", "发消息到 lobby", "今天"];
    assert_eq!(texts(&maja).await, chinese);
    maja.reload().await;
    assert_eq!(texts(&maja).await[..5], chinese[..5]);
    maja.click("language").await;
    assert_eq!(texts(&maja).await[..2], ["en-US", "Send"]);
}

#[tokio::test]
async fn the_theme_is_changed_and_kept() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    assert!(brightness(&maja).await > 200.0);
    maja.click("theme").await;
    assert!(brightness(&maja).await < 50.0);
    assert_eq!(
        maja.find("theme")
            .await
            .attr("aria-pressed")
            .await
            .unwrap()
            .as_deref(),
        Some("true")
    );
    maja.reload().await;
    assert!(brightness(&maja).await < 50.0);
    assert_eq!(maja.complaints().await, [""; 0]);
}

#[tokio::test]
async fn a_phone_shows_all_of_the_chat_without_scrolling_sideways() {
    let house = House::open();
    let maja = house.stranger("", Screen::Phone).await;
    fits(&maja).await;
    maja.introduce(&"Maximiliane".repeat(3)).await;
    fits(&maja).await;
    for content in [
        "x".repeat(400),
        "https://example.org/".repeat(12),
        "word ".repeat(80),
    ] {
        maja.say(content.trim()).await;
        fits(&maja).await;
    }
    let mut raw = house.raw_client();
    raw.send(format!("{{\"wide\": \"{}\"}}", "y".repeat(300)));
    maja.until("four messages", |shown| shown.messages.len() == 4)
        .await;
    fits(&maja).await;

    maja.click_on("#rooms-open").await;
    fits(&maja).await;
    maja.find("room-input")
        .await
        .send_keys(&"long-room-name-".repeat(8))
        .await
        .unwrap();
    maja.click("room-join").await;
    maja.until("the new room is open", |shown| {
        shown.room.starts_with("long-room")
    })
    .await;
    fits(&maja).await;
    maja.click_on("#rooms-open").await;
    maja.click("language").await;
    fits(&maja).await;
}

/// The page is as wide as the screen, and the composer and its button are inside of it.
async fn fits(page: &Page) {
    let (width, right, bottom): (f64, f64, f64) = page
        .read(
            "const send = document.querySelector('[data-testid=send]').getBoundingClientRect();
             return [document.documentElement.scrollWidth, send.right, send.bottom];",
        )
        .await;
    let (screen_width, screen_height) = (f64::from(PHONE.width), f64::from(PHONE.height));
    assert!(
        width <= screen_width,
        "the page is {width} wide, the screen {screen_width}"
    );
    assert!(
        right <= screen_width && bottom <= screen_height,
        "the button ends at {right}, {bottom}"
    );
    let inner: f64 = page.read("return innerWidth").await;
    assert!(
        (inner - screen_width).abs() < 1.0,
        "the page was zoomed out to {inner}"
    );
    let cut_off: Vec<String> = page
        .read(
            "const wide = [...document.querySelectorAll('.log, .bubble, .under')];
             return wide.filter((part) => part.scrollWidth > part.clientWidth).map((part) => part.className);",
        )
        .await;
    assert_eq!(cut_off, [""; 0], "these hide a part of what is in them");
}

/// The language, and a text from each part of the page.
async fn texts(page: &Page) -> Vec<String> {
    page.read(
        "const text = (selector) => document.querySelector(selector)?.textContent;
         return [
             document.documentElement.lang,
             text('[data-testid=send]'),
             text('h2'),
             text('[data-testid=room-leave]'),
             document.querySelector('[data-testid=composer]').placeholder,
             text('.divider') ?? '',
         ];",
    )
    .await
}

/// How bright the background is, from 0 to 255.
async fn brightness(page: &Page) -> f64 {
    page.read(
        "const [red, green, blue] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number);
         return (red + green + blue) / 3;",
    )
    .await
}
