//! People talk to each other.

use crate::House;

#[tokio::test]
async fn two_people_talk_and_a_third_in_another_room_hears_nothing() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    let tomas = house.welcome("Tomás").await;
    let lin = house.welcome_to("#/elsewhere", "Lin").await;
    maja.until("two are here", |shown| shown.here == Some(2)).await;

    maja.say("Good morning!").await;
    tomas.hears("Maja: Good morning!").await;
    tomas.say("早上好, Maja ☕").await;
    maja.hears("Tomás: 早上好, Maja ☕").await;

    for (page, own) in [(&maja, "Maja"), (&tomas, "Tomás")] {
        let shown = page.look().await;
        assert_eq!(
            shown.conversation(),
            ["Maja: Good morning!", "Tomás: 早上好, Maja ☕"]
        );
        for message in &shown.messages {
            assert_eq!(
                message.is_own,
                message.author == own,
                "{message:?} on the page of {own}"
            );
        }
    }

    // What is said here now comes after all that was said in the lobby: Lin has heard whatever was to be heard.
    tomas.join("elsewhere").await;
    tomas.say("Anyone?").await;
    lin.hears("Tomás: Anyone?").await;
    assert_eq!(lin.look().await.conversation(), ["Tomás: Anyone?"]);
    assert_eq!(maja.look().await.conversation().len(), 2);
    for page in [&maja, &tomas, &lin] {
        assert_eq!(page.complaints().await, [""; 0]);
    }
}

/// Browsers offer compression by themselves, and compress what they send.
#[tokio::test]
async fn people_talk_just_as_well_compressed() {
    let house = House::with(&["--compression"]);
    let maja = house.welcome("Maja").await;
    let tomas = house.welcome("Tomás").await;
    maja.until("two are here", |shown| shown.here == Some(2)).await;
    let long = "早上好, Maja ☕ ".repeat(20);
    let long = long.trim();
    tomas.say(long).await;
    maja.hears(&format!("Tomás: {long}")).await;
    maja.say("Good morning!").await;
    tomas.hears("Maja: Good morning!").await;
    let metrics = house.program.request("GET", "/metrics", &[], "").body;
    assert!(metrics.contains("\nfanfare_compressed_total "), "{metrics}");
    assert!(!metrics.contains("\nfanfare_compressed_total 0\n"), "{metrics}");
    for page in [&maja, &tomas] {
        assert_eq!(page.complaints().await, [""; 0]);
    }
}

/// The page is the server's own over https too, and finds the WebSocket beside it.
#[tokio::test]
async fn people_talk_just_as_well_over_tls() {
    let folder = std::env::temp_dir().join(format!("fanfare-browser-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.join(name).display().to_string());
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let house = House::with(&["--tls-cert", &certificate, "--tls-key", &key]);
    std::fs::remove_dir_all(&folder).unwrap();
    let maja = house.welcome("Maja").await;
    let tomas = house.welcome("Tomás").await;
    maja.until("two are here", |shown| shown.here == Some(2)).await;
    maja.say("Good morning!").await;
    tomas.hears("Maja: Good morning!").await;
    tomas.say("早上好, Maja ☕").await;
    maja.hears("Tomás: 早上好, Maja ☕").await;
    for page in [&maja, &tomas] {
        assert_eq!(page.complaints().await, [""; 0]);
    }
}

#[tokio::test]
async fn who_leaves_is_not_counted_any_more() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    maja.until("one is here", |shown| shown.here == Some(1)).await;
    let tomas = house.welcome("Tomás").await;
    maja.until("two are here", |shown| shown.here == Some(2)).await;
    tomas.leave().await;
    maja.until("one is here again", |shown| shown.here == Some(1))
        .await;
}

#[tokio::test]
async fn a_message_of_several_lines_stays_one_message() {
    let house = House::open();
    let maja = house.welcome("Maja").await;
    let shift_enter = "\u{e008}\u{e007}\u{e008}";
    maja.press(&format!("one{shift_enter}two\u{e007}")).await;
    maja.hears("Maja: one\ntwo").await;
    assert_eq!(maja.look().await.messages.len(), 1);
}
