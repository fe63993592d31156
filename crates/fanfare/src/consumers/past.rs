//! What a consumer that begins in the past still has to read.
//!
//! It reads the topic's log page by page. Pages and publications reach its line in one order, so behind the page that ends
//! where the log stands comes the next publication: neither a gap nor a duplicate can be there. Until then nothing waits for
//! it but one page. `docs/decisions/0017` tells why.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::vec;

use fanfare_hub::broker::{Page, Read, Refusal, Start};
use fanfare_protocol::{Position, Publication};
use tokio::time::{Sleep, sleep};

use super::options::SubscribeOptions;

/// What a consumer that begins in the past still has to read.
pub(super) struct Past {
    /// How much is read at once.
    bounds: Read,
    /// What is left of the page at hand.
    page: vec::IntoIter<Arc<Publication>>,
    /// The place that this page begins behind, until that was looked at.
    begins: Option<Position>,
    /// Whether nothing follows the page at hand but what waits in the line.
    is_last: bool,
    is_asked: bool,
    /// A pause after the broker could not read.
    pause: Option<Pin<Box<Sleep>>>,
}

/// What is to be done next.
pub(super) enum Step {
    /// From here on it goes on; what lies between here and the last place given is gone.
    Begin(Position),
    /// To give this.
    Give(Arc<Publication>),
    /// To ask for what follows the last place given.
    Ask,
    /// To wait for the page.
    Wait,
    /// To go over to the line.
    End,
}

impl Past {
    /// One of which nothing is known yet.
    pub(super) fn new(options: &SubscribeOptions) -> Self {
        Self {
            bounds: Read {
                start: Start::Oldest,
                publications_max: (options.publications_max / 4).clamp(1, PAGE_MAX),
                bytes_max: (options.bytes_max / 4).min(PAGE_BYTES_MAX),
            },
            page: Vec::new().into_iter(),
            begins: None,
            is_last: false,
            is_asked: false,
            pause: None,
        }
    }

    /// What to ask for; asked from now on.
    pub(super) fn ask(&mut self, start: Start) -> Read {
        self.is_asked = true;
        Read { start, ..self.bounds }
    }

    /// The page has come, or the broker cannot read now: then it is asked again after a while.
    pub(super) fn take_in(&mut self, outcome: Result<Page, Refusal>) {
        self.is_asked = false;
        match outcome {
            Ok(page) => {
                self.is_last = is_last(&page);
                self.begins = Some(beginning(&page));
                self.page = page.publications.into_iter();
            }
            Err(_) => self.pause = Some(Box::pin(sleep(PAUSE))),
        }
    }

    pub(super) fn step(&mut self) -> Step {
        if let Some(place) = self.begins.take() {
            return Step::Begin(place);
        }
        match self.page.next() {
            Some(publication) => Step::Give(publication),
            None if self.is_last => Step::End,
            None if self.is_asked || self.pause.is_some() => Step::Wait,
            None => Step::Ask,
        }
    }

    /// Ready when a pause is over, pending when there is none.
    pub(super) fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(pause) = &mut self.pause else {
            return Poll::Pending;
        };
        ready!(pause.as_mut().poll(cx));
        self.pause = None;
        Poll::Ready(())
    }
}

/// Whether the publications behind a page are those that come after it. One that gives nothing is the last, too: what it
/// does not give cannot be had.
pub(super) fn is_last(page: &Page) -> bool {
    page.publications
        .last()
        .is_none_or(|last| last.position == page.end)
}

/// The place behind which the consumer goes on with a page.
pub(super) fn beginning(page: &Page) -> Position {
    if page.publications.is_empty() {
        page.end
    } else {
        page.start
    }
}

/// Publications of a page at most.
const PAGE_MAX: usize = 64;

/// Bytes of a page at most. A longer publication comes alone.
const PAGE_BYTES_MAX: usize = 64 << 10;

/// How long a consumer waits before it asks a broker again that could not read.
const PAUSE: Duration = Duration::from_millis(100);
