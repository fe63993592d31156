//! Text that would be a program if the page let it.

use crate::House;
use crate::page::Page;

const HOSTILE: [&str; 4] = [
    "<script>window.fell = 1</script>",
    "<img src=x onerror=\"window.fell = 2\">",
    "<b>bold</b> &amp; <a href=\"javascript:window.fell=3\">here</a>",
    "\"><svg onload=window.fell=4>",
];

#[tokio::test]
async fn markup_in_messages_and_names_is_shown_as_it_was_typed() {
    let house = House::open();
    let name = "<img src=x onerror=fell=1>";
    let mallory = house.welcome(name).await;
    let maja = house.welcome("Maja").await;
    for content in HOSTILE {
        mallory.say(content).await;
        maja.hears(&format!("{name}: {content}")).await;
    }
    assert_eq!(mallory.look().await.name, name);
    stays_whole(&mallory).await;
    stays_whole(&maja).await;
}

#[tokio::test]
async fn markup_in_the_name_of_a_room_is_shown_as_it_was_typed() {
    let house = House::open();
    // A room name may hold neither `>` nor a space, but a browser does not need either to see a tag.
    let room = "<img/src=x/onerror=fell=1//";
    let mallory = house.welcome("Mallory").await;
    mallory.join(room).await;
    let shown = mallory.look().await;
    assert_eq!((shown.room_names(), &*shown.room), (vec!["lobby", room], room));
    let maja = house
        .welcome_to("#/%3Cimg%2Fsrc=x%2Fonerror=fell=1%2F%2F", "Maja")
        .await;
    assert_eq!(maja.look().await.room, room);
    stays_whole(&mallory).await;
    stays_whole(&maja).await;
}

#[tokio::test]
async fn only_web_addresses_become_links() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    maja.say("javascript:fell=1 data:text/html,x https://example.org/a?b=1&c=\"2\" done.")
        .await;
    let links: Vec<(String, String)> = maja
        .read("return [...document.querySelectorAll('.content a')].map((link) => [link.href, link.rel])")
        .await;
    let rel = "noopener noreferrer nofollow";
    assert_eq!(
        links,
        [("https://example.org/a?b=1&c=".to_owned(), rel.to_owned())]
    );
}

#[tokio::test]
async fn the_content_policy_stops_what_would_get_past_the_page() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    let () = maja
        .read(
            "const script = document.createElement('script');
             script.textContent = 'window.fell = 1';
             document.body.append(script);
             return null;",
        )
        .await;
    let complaints = maja.complaints().await;
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(
        complaints[0].contains("Content Security Policy"),
        "{complaints:?}"
    );
    assert!(maja.read::<bool>("return window.fell === undefined").await);
}

/// Nothing ran, nothing was built from text, and the browser had nothing to complain about.
async fn stays_whole(page: &Page) {
    assert!(page.read::<bool>("return window.fell === undefined").await);
    let strangers: u64 = page
        .read(
            "return document.querySelectorAll('main img, main b, main script, nav img, .content svg').length",
        )
        .await;
    assert_eq!(strangers, 0);
    assert_eq!(page.complaints().await, [""; 0]);
}
