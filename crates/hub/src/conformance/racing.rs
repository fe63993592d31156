//! What holds while several threads publish to one topic and outlets come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fanfare_protocol::{Payload, Position, Publication, TopicName};

use crate::broker::{Broker, Read, Start};

use super::probe::Probe;
use super::{accepted, draft, topic};

const PUBLISHERS: usize = 4;
const PUBLICATIONS_EACH: usize = 250;
const PUBLICATIONS: usize = PUBLISHERS * PUBLICATIONS_EACH;

/// Two outlets see the same order, and the publications of each publisher in the order it made them.
pub(super) fn every_outlet_sees_one_order<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("one-order");
    let (first, second) = (Probe::new(broker), Probe::new(broker));
    first.join(&topic);
    second.join(&topic);
    publish_racing(broker, &topic, |_| {
        let (seen, also_seen) = (all_of(&first), all_of(&second));
        assert!(seen == also_seen, "every outlet sees the same order");
        for publisher in 0..PUBLISHERS {
            let prefix = format!("{publisher}:");
            let own = seen
                .iter()
                .map(|publication| text_of(publication))
                .filter(|text| text.starts_with(&prefix));
            let expected = (0..PUBLICATIONS_EACH).map(|number| format!("{publisher}:{number}"));
            assert!(own.eq(expected), "a publisher's own order is kept");
        }
    });
}

/// An outlet that comes and goes, each time from where it was: what it missed and what follows fit together.
pub(super) fn readings_meet_live_publications<B: Broker + ?Sized>(broker: &B) {
    let topic = topic("hand-over");
    let (keeper, comer) = (Probe::new(broker), Probe::new(broker));
    let start = keeper.join(&topic);
    publish_racing(broker, &topic, |published| {
        let mut place = start;
        let mut seen = Vec::new();
        while place.offset < PUBLICATIONS as u64 {
            let joined = comer.join(&topic);
            place = catch_up(&comer, &topic, (place, joined), &mut seen);
            // Some are read while it is joined; with the last one published there may be none to come.
            for _ in 0..5 {
                if published.load(Ordering::SeqCst) == PUBLICATIONS && comer.waiting() == 0 {
                    break;
                }
                if place.offset == PUBLICATIONS as u64 {
                    break;
                }
                let publication = comer.publication("a publication behind a join");
                place = next(place, &publication, "between a page and what follows it");
                seen.push(publication);
            }
            broker.leave(comer.id, &topic);
        }
        let all = all_of(&keeper);
        for publication in seen {
            let at = publication.position.offset as usize - 1;
            assert!(
                publication == all[at],
                "what is given from history is what was published"
            );
        }
    });
}

/// Reads page by page until it meets what is published, as a shard does it: gives where.
fn catch_up<B: Broker + ?Sized>(
    comer: &Probe<'_, B>,
    topic: &TopicName,
    (mut place, mut live): (Position, Position),
    seen: &mut Vec<Arc<Publication>>,
) -> Position {
    loop {
        let read = Read {
            start: Start::After(place),
            publications_max: 20,
            bytes_max: usize::MAX,
        };
        let (page, before) = comer.read(topic, read);
        for publication in before {
            live = next(live, &publication, "between publications of a joined topic");
        }
        assert_eq!(
            page.end, live,
            "a page stands behind the publications up to where the log stands"
        );
        if page.lost.is_some() {
            place = page.start;
        }
        for publication in page.publications {
            place = next(place, &publication, "within what was missed");
            seen.push(publication);
        }
        assert!(place.offset <= live.offset, "no page is ahead of what was posted");
        if place == live {
            return place;
        }
    }
}

/// Publishes from several threads, meanwhile does `read` here. It is given how many were published.
fn publish_racing<B: Broker + ?Sized>(broker: &B, topic: &TopicName, read: impl FnOnce(&AtomicUsize)) {
    let published = AtomicUsize::new(0);
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let published = &published;
            scope.spawn(move || {
                let probe = Probe::new(broker);
                for number in 0..PUBLICATIONS_EACH {
                    let mut draft = draft(topic, 0);
                    draft.payload = Payload::text(format!("{publisher}:{number}"));
                    accepted(&probe, draft);
                    published.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        read(&published);
    });
}

/// Everything an outlet gets that joined before the first publication.
fn all_of<B: Broker + ?Sized>(probe: &Probe<'_, B>) -> Vec<Arc<Publication>> {
    let mut all: Vec<Arc<Publication>> = Vec::new();
    for offset in 1..=PUBLICATIONS as u64 {
        let publication = probe.publication("a publication of a joined topic");
        assert_eq!(
            publication.position.offset, offset,
            "offsets are dense and in order whoever publishes"
        );
        all.push(publication);
    }
    all
}

fn next(place: Position, publication: &Publication, what: &str) -> Position {
    let expected = Position {
        offset: place.offset + 1,
        ..place
    };
    assert_eq!(
        publication.position, expected,
        "{what} there is neither gap nor duplicate"
    );
    expected
}

fn text_of(publication: &Publication) -> String {
    String::from_utf8_lossy(publication.draft.payload.as_bytes()).into_owned()
}
