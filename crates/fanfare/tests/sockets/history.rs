//! History that the host reads through the handle.

use fanfare::{
    CallError, Epoch, HISTORY_PAGE_MAX, HistoryPage, Loss, Options, Payload, Position, Reading, Retention,
    Since, Turn,
};
use proptest::prelude::*;

use crate::server::{Server, options};

/// A server that keeps so many publications of a topic.
pub(crate) fn keeping(publications_max: usize) -> Server {
    Server::with(Options {
        history: Retention {
            publications_max,
            bytes_max: 64 << 20,
            ..Retention::default()
        },
        ..options()
    })
}

pub(crate) fn publish(server: &Server, topic: &str, count: u64) {
    for _ in 0..count {
        let published = server.fanfare.publish(topic, Payload::text("x"));
        server.runtime.block_on(published).unwrap();
    }
}

fn read(server: &Server, topic: &str, reading: Reading, limit: u32) -> HistoryPage {
    let read = server.fanfare.history(topic, reading, limit);
    server.runtime.block_on(read).unwrap()
}

fn offsets(page: &HistoryPage) -> Vec<u64> {
    page.publications.iter().map(|p| p.position.offset).collect()
}

#[test]
fn a_topic_is_read_page_by_page_in_both_directions() {
    let server = keeping(5);
    publish(&server, "a", 7);
    let all = read(&server, "a", Reading::Oldest, 100);
    assert_eq!(
        (offsets(&all), all.end.offset, all.next),
        (vec![3, 4, 5, 6, 7], 7, None)
    );
    assert_eq!((all.topic.as_str(), all.recovered), ("a", None));
    let at = |offset| Position { offset, ..all.end };
    for (first, expected) in [
        (Reading::Oldest, vec![3, 4, 5, 6, 7]),
        (Reading::Since(Since::Position(at(4))), vec![5, 6, 7]),
        (Reading::Since(Since::Last(3)), vec![5, 6, 7]),
        (Reading::Since(Since::Age(600_000)), vec![3, 4, 5, 6, 7]),
        (Reading::Before(at(6)), vec![5, 4, 3]),
        (Reading::Before(at(3)), vec![]),
    ] {
        let (mut reading, mut seen) = (Some(first), Vec::new());
        while let Some(from) = reading {
            let page = read(&server, "a", from, 2);
            seen.extend(offsets(&page));
            reading = page.next.map(Reading::from);
        }
        assert_eq!(seen, expected, "{first:?}");
    }
    let first = read(&server, "a", Reading::Before(at(7)), 1);
    assert_eq!(first.next, Some(Turn::Before(at(6))));
}

#[test]
fn what_cannot_be_gone_on_from_is_told_with_the_reason() {
    let server = keeping(5);
    publish(&server, "a", 7);
    let end = read(&server, "a", Reading::Oldest, 0).end;
    let at = |offset| Position { offset, ..end };
    let other = Position {
        epoch: Epoch(end.epoch.0.wrapping_add(1)),
        ..end
    };
    for (place, recovered, expected) in [
        (at(2), Ok(()), vec![3, 4, 5, 6, 7]),
        (at(1), Err(Loss::TooOld), vec![3, 4, 5, 6, 7]),
        (other, Err(Loss::EpochChanged), vec![3, 4, 5, 6, 7]),
        (at(8), Err(Loss::Ahead), vec![]),
    ] {
        let page = read(&server, "a", Reading::Since(Since::Position(place)), 100);
        assert_eq!(
            (page.recovered, offsets(&page)),
            (Some(recovered), expected),
            "{place:?}"
        );
    }
}

#[test]
fn a_topic_that_is_not_there_is_empty_and_stays_away() {
    let server = keeping(5);
    let page = read(&server, "nowhere", Reading::Oldest, 100);
    assert_eq!((offsets(&page), page.end.offset, page.next), (vec![], 0, None));
    assert!(server.fanfare.topics(0, 10).topics.is_empty());
    let refused = server
        .runtime
        .block_on(server.fanfare.history("a b", Reading::Oldest, 1));
    assert!(matches!(refused, Err(CallError::Topic(_))), "{refused:?}");
}

#[test]
fn a_page_is_bounded_in_publications_and_in_bytes() {
    let server = keeping(10_000);
    publish(&server, "many", 1_500);
    let page = read(&server, "many", Reading::Oldest, u32::MAX);
    assert_eq!(page.publications.len(), HISTORY_PAGE_MAX as usize);
    for _ in 0..10 {
        let long = Payload::text("x".repeat(60_000));
        server
            .runtime
            .block_on(server.fanfare.publish("long", long))
            .unwrap();
    }
    assert_eq!(offsets(&read(&server, "long", Reading::Oldest, 10)), [1, 2, 3, 4]);
    let longest = Payload::text("x".repeat(1_000_000));
    server
        .runtime
        .block_on(server.fanfare.publish("longest", longest))
        .unwrap();
    assert_eq!(
        offsets(&read(&server, "longest", Reading::Oldest, 10)),
        [1],
        "it comes alone"
    );
}

fn reading() -> impl Strategy<Value = Reading> {
    let offset = prop_oneof![0..20_u64, any::<u64>(), Just(u64::MAX)];
    // Every other one is of the log that there is.
    let place = (any::<Option<u64>>(), offset).prop_map(|(epoch, offset)| Position {
        epoch: Epoch(epoch.unwrap_or_default()),
        offset,
    });
    prop_oneof![
        Just(Reading::Oldest),
        place
            .clone()
            .prop_map(|place| Reading::Since(Since::Position(place))),
        any::<u64>().prop_map(|ms| Reading::Since(Since::Age(ms))),
        any::<u32>().prop_map(|count| Reading::Since(Since::Last(count))),
        place.prop_map(Reading::Before),
    ]
}

/// Places of the log that there is in place of those of the epoch 0.
fn here(reading: Reading, epoch: Epoch) -> Reading {
    let moved = |place: Position| match place.epoch {
        Epoch(0) => Position { epoch, ..place },
        _ => place,
    };
    match reading {
        Reading::Since(Since::Position(place)) => Reading::Since(Since::Position(moved(place))),
        Reading::Before(place) => Reading::Before(moved(place)),
        other => other,
    }
}

#[test]
fn whatever_is_asked_for_is_clamped_to_what_there_is() {
    let server = keeping(5);
    publish(&server, "a", 7);
    let epoch = read(&server, "a", Reading::Oldest, 0).end.epoch;
    proptest!(ProptestConfig::with_cases(2_000), |(asked in reading(), limit in any::<u32>())| {
        let asked = here(asked, epoch);
        let page = read(&server, "a", asked, limit);
        prop_assert_eq!(page.end, Position { epoch, offset: 7 });
        prop_assert!(page.publications.len() <= limit.min(5) as usize);
        let mut given = offsets(&page);
        if matches!(asked, Reading::Before(_)) {
            given.reverse();
        }
        prop_assert!(given.iter().all(|offset| (3..=7).contains(offset)));
        prop_assert!(given.windows(2).all(|two| two[0] + 1 == two[1]));
        if let Some(next) = page.next {
            prop_assert!(!given.is_empty(), "{next:?} would be read for ever");
        }
    });
}
