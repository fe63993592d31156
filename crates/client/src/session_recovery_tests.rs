//! How a session goes on from where it was.

use super::*;

/// The answer to a subscription that says more about where it begins.
fn recovered(id: u64, epoch: &str, offset: u64, outcome: &str) -> String {
    let place = format!(r#""topic":"a","epoch":"{epoch}","offset":{offset},"recovered":{outcome}"#);
    format!(r#"{{"type":"subscribed","id":{id},"topics":[{{{place}}}]}}"#)
}

#[test]
fn after_a_reconnect_it_goes_on_from_where_it_was() {
    let mut story = Story::subscribed_to_a_at("e", 7);
    story.hears(&publication(8));
    assert_eq!(
        story.reconnects(),
        [r#"{"type":"subscribe","id":2,"topics":[{"topic":"a","since":"e:8"}]}"#]
    );
    let told = story.hears(&recovered(2, "e", 8, "true"));
    assert_eq!(told, ["Subscribed"]);
    assert_eq!(story.hears(&publication(9)), ["message 9"]);
    let missed = r#"{"type":"missed","topic":"a","epoch":"e","from":10,"to":12,"count":3}"#;
    story.hears(missed);
    assert_eq!(
        story.reconnects(),
        [r#"{"type":"subscribe","id":3,"topics":[{"topic":"a","since":"e:12"}]}"#],
        "what was told to be missing is not asked for again"
    );
}

#[test]
fn after_a_reconnect_it_tells_what_cannot_be_had_and_why() {
    for (position, answer, told) in [
        (
            ("e", 12),
            r#"false,"reason":"too_old""#,
            "missed 4 of 9..=12: Lost(TooOld)",
        ),
        (
            ("f", 0),
            r#"false,"reason":"epoch_changed""#,
            "missed some: Lost(EpochChanged)",
        ),
        (
            ("f", 8),
            r#"false,"reason":"epoch_changed""#,
            "missed some: Lost(EpochChanged)",
        ),
        (("e", 3), r#"false,"reason":"ahead""#, "missed some: Lost(Ahead)"),
        (
            ("e", 9),
            r#"false,"reason":"forbidden""#,
            "missed 1 of 9..=9: Lost(Forbidden)",
        ),
        (
            ("f", 9),
            r#"false,"reason":"forbidden""#,
            "missed some: Lost(Forbidden)",
        ),
        (
            ("e", 9),
            r#"false,"reason":"from 2040""#,
            "missed 1 of 9..=9: Away",
        ),
    ] {
        let mut story = Story::subscribed_to_a_at("e", 7);
        story.hears(&publication(8));
        story.reconnects();
        let (epoch, offset) = position;
        let heard = story.hears(&recovered(2, epoch, offset, answer));
        assert_eq!(heard, ["Subscribed", told], "{answer}");
        let next = story.hears(&publication(offset + 1));
        assert_eq!(next, [format!("message {}", offset + 1)], "{answer}");
    }
}

#[test]
fn where_nothing_was_published_meanwhile_nothing_is_missed() {
    for answer in ["true", r#"false,"reason":"forbidden""#, "null"] {
        let mut story = Story::subscribed_to_a_at("e", 7);
        story.reconnects();
        assert_eq!(
            story.hears(&recovered(2, "e", 7, answer)),
            ["Subscribed"],
            "{answer}"
        );
    }
}

#[test]
fn what_was_left_out_in_part_is_no_place_to_go_on_from() {
    let mut story = Story::subscribed_to_a_at("e", 7);
    let missed = r#"{"type":"missed","topic":"a","epoch":"e","from":8,"to":12,"count":3}"#;
    story.hears(missed);
    assert_eq!(story.hears(&publication(10)), ["message 10"]);
    assert_eq!(
        story.reconnects(),
        [r#"{"type":"subscribe","id":2,"topics":[{"topic":"a","since":"e:10"}]}"#]
    );
}

#[test]
fn a_first_subscription_begins_where_the_program_says() {
    for (since, said, answer, told) in [
        (
            "e:5".parse().unwrap(),
            r#","since":"e:5""#,
            "true",
            &["1: Subscribed"][..],
        ),
        (
            "e:5".parse().unwrap(),
            r#","since":"e:5""#,
            r#"false,"reason":"too_old""#,
            &["1: Subscribed", "missed 2 of 6..=7: Lost(TooOld)"],
        ),
        (
            Since::Age(300_000),
            r#","since":"300000ms""#,
            "null",
            &["1: Subscribed"],
        ),
        (Since::Last(20), r#","last":20"#, "null", &["1: Subscribed"]),
    ] {
        let mut story = Story::welcomed();
        let options = SubscribeOptions {
            since: Some(since),
            ..SubscribeOptions::default()
        };
        story.0.subscribe(&["a".to_owned()], options, None).unwrap();
        let command = format!(r#"{{"type":"subscribe","id":1,"topics":["a"]{said}}}"#);
        assert_eq!(story.says(), [command]);
        assert_eq!(story.hears(&recovered(1, "e", 7, answer)), told);
        assert_eq!(
            story.reconnects(),
            [r#"{"type":"subscribe","id":2,"topics":[{"topic":"a","since":"e:7"}]}"#],
            "later it goes on from where it is"
        );
    }
}

#[test]
fn whoever_asks_for_a_lost_topic_goes_on_with_it() {
    let mut story = Story::subscribed_to_a_at("e", 7);
    story.0.handle_lost();
    let options = SubscribeOptions {
        since: Some(Since::Last(20)),
        ..SubscribeOptions::default()
    };
    story.hears(r#"{"type":"welcome","connection":"c2"}"#);
    story.says();
    story.0.subscribe(&["a".to_owned()], options, None).unwrap();
    assert_eq!(
        story.says(),
        [r#"{"type":"subscribe","id":3,"topics":[{"topic":"a","since":"e:7"}],"last":20}"#]
    );
}

#[test]
fn history_is_asked_for_by_place_and_direction() {
    let mut story = Story::welcomed();
    let place: Position = "e:7".parse().unwrap();
    for reading in [
        Reading::Oldest,
        Reading::Since(Since::Position(place)),
        Reading::Since(Since::Last(3)),
        Reading::Before(place),
    ] {
        let limit = matches!(reading, Reading::Before(_)).then_some(10);
        story.0.history("a", HistoryOptions { reading, limit }).unwrap();
    }
    let expected = [
        r#"{"type":"history","id":1,"topic":"a"}"#,
        r#"{"type":"history","id":2,"topic":"a","since":"e:7"}"#,
        r#"{"type":"history","id":3,"topic":"a","last":3}"#,
        r#"{"type":"history","id":4,"topic":"a","before":"e:7","limit":10}"#,
    ];
    assert_eq!(story.says(), expected);
    story
        .0
        .handle_text(
            r#"{"type":"history","id":4,"topic":"a","epoch":"e","offset":9,"recovered":true,
                "messages":[{"offset":6,"time":1,"data":1}],"next":{"before":{"epoch":"e","offset":6}}}"#,
        )
        .unwrap();
    let Some(Incoming::Reply {
        id: 4,
        outcome: Ok(Reply::History(page)),
    }) = story.0.poll_incoming()
    else {
        panic!("no page");
    };
    assert_eq!(
        (page.end.to_string().as_str(), page.recovered),
        ("e:9", Some(true))
    );
    assert_eq!(page.publications[0].position(), "e:6".parse().ok());
    assert_eq!(page.publications[0].topic.as_deref(), Some("a"));
    assert_eq!(page.next, Some(Reading::Before("e:6".parse().unwrap())));
}

fn refused(id: u64, code: &str) -> String {
    let temporary = code != "forbidden";
    format!(r#"{{"type":"error","id":{id},"code":"{code}","message":"no","temporary":{temporary}}}"#)
}

#[test]
fn what_is_refused_for_now_is_asked_for_again_from_where_it_was() {
    let mut story = Story::subscribed_to_a_at("e", 7);
    story.reconnects();
    let topics = ["a".to_owned()];
    for (id, code, refusals) in [
        (2, "unavailable", 1),
        (3, "rate_limited", 2),
        (4, "overloaded", 3),
    ] {
        let told = story.hears(&refused(id, code));
        assert_eq!(told, [format!("[\"a\"] later, refused {refusals} times")]);
        assert!(story.says().is_empty(), "when, is for others to say");
        story.0.subscribe_again(&topics, None);
        let again = format!(
            r#"{{"type":"subscribe","id":{},"topics":[{{"topic":"a","since":"e:7"}}]}}"#,
            id + 1
        );
        assert_eq!(story.says(), [again]);
    }
    assert_eq!(story.hears(&recovered(5, "e", 7, "true")), ["Subscribed"]);
    story.0.subscribe_again(&topics, None);
    assert!(story.says().is_empty(), "it is there");
    story.reconnects();
    let told = story.hears(&refused(6, "unavailable"));
    assert_eq!(told, ["[\"a\"] later, refused 1 times"], "it is counted in a row");
    story.reconnects();
    assert_eq!(story.hears(&refused(7, "forbidden")), ["NotSubscribedAgain"]);
    assert!(!story.0.is_subscribed("a"));
}

#[test]
fn what_is_given_up_while_it_is_postponed_is_not_asked_for() {
    let mut story = Story::subscribed_to_a_at("e", 7);
    story.reconnects();
    story.hears(&refused(2, "unavailable"));
    let topics = ["a".to_owned()];
    story.0.forget(&topics);
    story.0.subscribe_again(&topics, None);
    assert!(story.says().is_empty());
    let mut story = Story::subscribed_to_a_at("e", 7);
    story.reconnects();
    story.0.forget(&topics);
    assert!(story.hears(&refused(2, "unavailable")).is_empty());
}

#[test]
fn where_too_many_topics_do_not_fit_some_of_them_may() {
    let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
    let mut story = Story::welcomed();
    story
        .0
        .subscribe(&names, SubscribeOptions::default(), None)
        .unwrap();
    let places = names
        .iter()
        .map(|name| format!(r#"{{"topic":"{name}","epoch":"e","offset":1}}"#));
    let places: Vec<_> = places.collect();
    story.hears(&format!(
        r#"{{"type":"subscribed","id":1,"topics":[{}]}}"#,
        places.join(",")
    ));
    story.reconnects();
    assert_eq!(
        story.hears(&refused(2, "too_many_topics")),
        [
            "[\"b\", \"c\"] later, refused 1 times",
            "[\"a\"] later, refused 1 times"
        ]
    );
}
