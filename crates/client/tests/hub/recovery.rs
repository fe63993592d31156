//! Everyone who comes back goes on from where it was.

use std::ops::RangeInclusive;
use std::time::Duration;

use fanfare_client::{
    Client, ConnectOptions, Delivery, Gap, GapCause, HistoryOptions, Loss, Position, Push, Reading, Since,
    SubscribeOptions, Subscription,
};
use fanfare_testing::Line;
use fastrand::Rng;
use tokio::time::timeout;

use crate::server::{PATIENCE, Server, eventually, quick};

async fn connect(url: &str) -> Client {
    Client::connect(url, quick()).await.unwrap()
}

async fn next(stream: &mut Subscription) -> Delivery {
    timeout(PATIENCE, stream.next())
        .await
        .expect("a delivery")
        .unwrap()
}

/// The numbers of the next publications, nothing of which is missing.
async fn numbers(stream: &mut Subscription, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        match next(stream).await {
            Delivery::Publication(publication) => numbers.push(publication.json().unwrap()),
            other => panic!("{other:?} after {:?}", numbers.last()),
        }
    }
    numbers
}

async fn gap(stream: &mut Subscription) -> Gap {
    match next(stream).await {
        Delivery::Missed(gap) => gap,
        other => panic!("{other:?}"),
    }
}

fn lost(offsets: RangeInclusive<u64>, loss: Loss) -> Gap {
    Gap {
        count: Some(offsets.end() - offsets.start() + 1),
        offsets: Some(offsets),
        cause: GapCause::Lost(loss),
    }
}

/// Behind a line that breaks again and again, at any byte, while others publish as fast as they can.
#[tokio::test]
async fn whoever_is_cut_off_again_and_again_gets_everything_once_and_in_order() {
    const COUNT: u64 = 4_000;
    const TOPICS: [&str; 3] = ["open:a", "open:b", "open:c"];
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let server = Server::start_that_keeps(10_000).await;
    for topic in TOPICS {
        // A topic that has nothing to keep ends with its last subscriber.
        server.publish(topic, [1]).await;
    }
    let mut random = Rng::with_seed(seed);
    let line = Line::that_breaks(server.address, move || {
        // From before the welcome to a good part of all.
        if random.bool() {
            random.u64(1..2_000)
        } else {
            random.u64(2_000..100_000)
        }
    });
    let options = ConnectOptions {
        deliveries_max: usize::MAX,
        reconnect_delay_min: Duration::from_millis(1),
        reconnect_delay_max: Duration::from_millis(10),
        ..quick()
    };
    let mut client = eventually("a first connection", async || {
        Client::connect(&line.websocket_url("/ws"), options.clone())
            .await
            .ok()
    })
    .await;
    let begin = || SubscribeOptions {
        since: Some(Since::Last(u32::MAX)),
        ..SubscribeOptions::default()
    };
    let mut streams = Vec::new();
    for topic in &TOPICS[..2] {
        let stream = eventually("a subscription", async || {
            client.subscription_with(topic, begin()).await.ok()
        });
        streams.push(stream.await);
    }
    let commands = client.commands();
    let subscribe = async || commands.subscribe_with(&TOPICS[2..], begin()).await.ok();
    eventually("a subscription", subscribe).await;

    let publishing = async {
        let publish = TOPICS.map(|topic| server.publish(topic, 2..=COUNT));
        let [a, b, c] = publish;
        tokio::join!(a, b, c);
    };
    let taking_streams = async {
        for stream in &mut streams {
            let taken = numbers(stream, COUNT as usize).await;
            assert!(taken.into_iter().eq(1..=COUNT), "{}", stream.topic());
            assert_eq!(stream.position().offset, COUNT);
        }
    };
    let (breaks, (), ()) = tokio::join!(take_pushes(&mut client, COUNT), publishing, taking_streams);
    assert!(breaks >= 5, "only {breaks} breaks");
}

/// Takes the numbers up to the last one, which must come in order; how often the connection broke meanwhile.
async fn take_pushes(client: &mut Client, last: u64) -> usize {
    let (mut taken, mut breaks) = (0, 0);
    while taken < last {
        let push = timeout(PATIENCE, client.next()).await.expect("a push");
        match push.unwrap_or_else(|| panic!("ended by {:?}", client.ended_by())) {
            Push::Publication(publication) => {
                taken += 1;
                assert_eq!(publication.offset, Some(taken));
            }
            Push::Disconnected { .. } => breaks += 1,
            Push::Missed { gap, .. } => panic!("{gap} after {taken}"),
            _ => {}
        }
    }
    breaks
}

#[tokio::test]
async fn a_restart_of_the_hub_is_told_and_nothing_of_its_new_life_is_missing() {
    let server = Server::start_that_keeps(100).await;
    let client = server.client().await;
    let mut stream = client.subscription("open:a").await.unwrap();
    server.publish("open:a", 1..=5).await;
    assert_eq!(numbers(&mut stream, 5).await, [1, 2, 3, 4, 5]);
    let server = server.restart(Duration::from_millis(100)).await;
    server.publish("open:a", 6..=7).await;
    server.await_subscribers("open:a", 1).await;
    server.publish("open:a", 8..=9).await;
    let gap = gap(&mut stream).await;
    assert_eq!((gap.count, gap.cause), (None, GapCause::Lost(Loss::EpochChanged)));
    assert_eq!(numbers(&mut stream, 4).await, [6, 7, 8, 9]);
    assert_eq!(stream.position().offset, 4, "in the new life");
}

#[tokio::test]
async fn what_the_topic_keeps_no_more_is_told_exactly() {
    let server = Server::start_that_keeps(5).await;
    let line = Line::to(server.address);
    let client = connect(&line.websocket_url("/ws")).await;
    let mut stream = client.subscription("open:a").await.unwrap();
    server.publish("open:a", 1..=3).await;
    assert_eq!(numbers(&mut stream, 3).await, [1, 2, 3]);
    line.cut();
    server.await_subscribers("open:a", 0).await;
    server.publish("open:a", 4..=20).await;
    line.mend();
    assert_eq!(gap(&mut stream).await, lost(4..=15, Loss::TooOld));
    assert_eq!(numbers(&mut stream, 5).await, [16, 17, 18, 19, 20]);
}

#[tokio::test]
async fn where_nothing_is_kept_a_break_costs_only_what_was_published_meanwhile() {
    let server = Server::start().await;
    let line = Line::to(server.address);
    let client = connect(&line.websocket_url("/ws")).await;
    let mut stream = client.subscription("open:a").await.unwrap();
    // Without a subscriber the topic would end.
    let other = server.client().await;
    let _other = other.subscription("open:a").await.unwrap();
    let away = async || {
        line.cut();
        server.await_subscribers("open:a", 1).await;
    };
    let back = async || {
        line.mend();
        server.await_subscribers("open:a", 2).await;
    };
    server.publish("open:a", [1]).await;
    assert_eq!(numbers(&mut stream, 1).await, [1]);
    away().await;
    back().await;
    server.publish("open:a", [2]).await;
    assert_eq!(numbers(&mut stream, 1).await, [2]);
    away().await;
    server.publish("open:a", 3..=4).await;
    back().await;
    server.publish("open:a", [5]).await;
    assert_eq!(gap(&mut stream).await, lost(3..=4, Loss::TooOld));
    assert_eq!(numbers(&mut stream, 1).await, [5]);
}

#[tokio::test]
async fn who_may_not_look_back_is_subscribed_again_and_told_what_it_missed() {
    let server = Server::start_that_keeps(100).await;
    let line = Line::to(server.address);
    let client = connect(&line.websocket_url("/ws")).await;
    let mut stream = client.subscription("present:a").await.unwrap();
    server.publish("present:a", [1]).await;
    assert_eq!(numbers(&mut stream, 1).await, [1]);
    line.cut();
    server.await_subscribers("present:a", 0).await;
    server.publish("present:a", 2..=3).await;
    line.mend();
    server.await_subscribers("present:a", 1).await;
    server.publish("present:a", [4]).await;
    assert_eq!(gap(&mut stream).await, lost(2..=3, Loss::Forbidden));
    assert_eq!(numbers(&mut stream, 1).await, [4]);
    let error = client.history("present:a").next().await.unwrap_err();
    assert!(error.is_forbidden(), "{error}");
}

#[tokio::test]
async fn another_life_of_a_program_goes_on_from_the_position_that_was_stored() {
    let server = Server::start_that_keeps(100).await;
    let client = server.client().await;
    let mut stream = client.subscription("open:a").await.unwrap();
    server.publish("open:a", 1..=5).await;
    assert_eq!(
        numbers(&mut stream, 3).await,
        [1, 2, 3],
        "two more wait and are not taken"
    );
    let stored = stream.position().to_string();
    drop((stream, client));
    server.publish("open:a", 6..=7).await;

    let client = server.client().await;
    let position: Position = stored.parse().unwrap();
    let options = SubscribeOptions {
        since: Some(Since::Position(position)),
        ..SubscribeOptions::default()
    };
    let mut stream = client.subscription_with("open:a", options).await.unwrap();
    assert_eq!(stream.position(), position);
    assert_eq!(numbers(&mut stream, 4).await, [4, 5, 6, 7]);
}

#[tokio::test]
async fn newcomers_begin_in_the_past_if_they_like() {
    let server = Server::start_that_keeps(100).await;
    let client = server.client().await;
    server.publish("open:a", 1..=5).await;
    for (since, expected) in [
        (Since::Last(2), &[4, 5][..]),
        (Since::Age(3_600_000), &[1, 2, 3, 4, 5]),
    ] {
        let options = SubscribeOptions {
            since: Some(since),
            ..SubscribeOptions::default()
        };
        let mut stream = client.subscription_with("open:a", options).await.unwrap();
        assert_eq!(numbers(&mut stream, expected.len()).await, expected, "{since:?}");
        drop(stream);
        server.await_subscribers("open:a", 0).await;
    }
}

#[tokio::test]
async fn history_comes_page_by_page_in_both_directions() {
    let server = Server::start_that_keeps(100).await;
    let client = server.client().await;
    server.publish("open:a", 1..=7).await;
    let end = client.history("open:a").next().await.unwrap().unwrap().end;
    assert_eq!(end.offset, 7);
    for (reading, expected) in [
        (Reading::Oldest, vec![vec![1, 2, 3], vec![4, 5, 6], vec![7]]),
        (Reading::Before(end), vec![vec![6, 5, 4], vec![3, 2, 1]]),
        (Reading::Since(Since::Last(2)), vec![vec![6, 7]]),
        (Reading::Since(Since::Position(end)), vec![vec![]]),
    ] {
        let limit = Some(3);
        let mut history = client.history_with("open:a", HistoryOptions { reading, limit });
        let mut pages: Vec<Vec<u64>> = Vec::new();
        while let Some(page) = history.next().await.unwrap() {
            let numbers = page
                .publications
                .iter()
                .map(|publication| publication.json().unwrap());
            pages.push(numbers.collect());
        }
        assert_eq!(pages, expected, "{reading:?}");
    }
}
