//! What someone who cannot see the page is told.

use fanfare_testing::Screen;

use crate::House;
use crate::page::Page;

#[tokio::test]
async fn every_control_says_what_it_is() {
    let house = House::open();
    let maja = house.stranger("", Screen::Desktop).await;
    assert!(every_control_has_a_name(&maja).await >= 2);
    maja.introduce("Maja").await;
    maja.say("See https://example.org/").await;
    assert!(every_control_has_a_name(&maja).await >= 11);
    maja.click("language").await;
    assert!(every_control_has_a_name(&maja).await >= 11);
    maja.click("keys").await;
    assert!(every_control_has_a_name(&maja).await >= 1);
}

#[tokio::test]
async fn the_landmarks_are_there_and_messages_are_read_aloud() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    for (selector, role) in [
        ("main", "main"),
        ("nav", "navigation"),
        ("#log", "log"),
        ("#announced", "status"),
    ] {
        let found = maja.find_all(selector).await;
        assert_eq!(found.len(), 1, "{selector}");
        assert_eq!(maja.role_of(&found[0]).await, role);
    }
    let log = &maja.find_all("#log").await[0];
    assert_eq!(maja.name_of(log).await, "Messages in lobby");
    assert_eq!(log.attr("aria-live").await.unwrap().as_deref(), Some("polite"));
    assert_eq!(maja.find_all("h1").await.len(), 1);
    maja.say("Heard").await;
    assert!(
        maja.read::<bool>("return document.querySelector('#log [data-testid=message]') !== null")
            .await
    );
}

#[tokio::test]
async fn unread_messages_are_part_of_a_rooms_name() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    maja.join("design").await;
    house.raw_client().send("news");
    maja.until("one is unread", |shown| shown.unread("lobby") == Some(1))
        .await;
    let room = maja.find("room").await;
    assert_eq!(maja.name_of(&room).await, "lobby 1 unread message");
}

#[tokio::test]
async fn text_stands_out_from_what_is_behind_it() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    let tomas = house.welcome("Tomás").await;
    maja.say("Mine").await;
    tomas.say("Yours").await;
    maja.hears("Tomás: Yours").await;
    for theme in ["light", "dark"] {
        let faint: Vec<String> = maja.read(CONTRAST).await;
        assert_eq!(faint, [""; 0], "{theme}");
        maja.click("theme").await;
    }
}

/// Looks at every control on screen, those of the open dialog where there is one; how many there are.
async fn every_control_has_a_name(page: &Page) -> usize {
    let mut count = 0;
    let controls = ":is(button, input, textarea, a, dialog, [tabindex])";
    for control in page
        .find_all(&format!(
            "{controls}:is(body:not(:has(dialog[open])) *, dialog[open], dialog[open] *)"
        ))
        .await
    {
        if !control.is_displayed().await.unwrap() {
            continue;
        }
        count += 1;
        let name = page.name_of(&control).await;
        assert!(
            !name.trim().is_empty(),
            "no name: {}",
            control.html(false).await.unwrap()
        );
    }
    count
}

/// The texts on screen whose contrast is under 4.5 to 1 (WCAG 2.2, 1.4.3).
const CONTRAST: &str = r#"
    const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const parse = (color) => {
        pixel.clearRect(0, 0, 1, 1);
        pixel.fillStyle = color;
        pixel.fillRect(0, 0, 1, 1);
        return [...pixel.getImageData(0, 0, 1, 1).data];
    };
    const linear = (part) => (part <= 10 ? part / 3294 : ((part / 255 + 0.055) / 1.055) ** 2.4);
    const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const color = parse(getComputedStyle(at).backgroundColor);
            if (color[3] > 200) return color;
        }
        return [255, 255, 255];
    };
    const faint = [];
    for (const element of document.querySelectorAll("body *")) {
        const isText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!isText || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
        const [front, back] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
        const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
        if (contrast < 4.5) faint.push(`${element.outerHTML} ${contrast.toFixed(2)}`);
    }
    return faint;
"#;
