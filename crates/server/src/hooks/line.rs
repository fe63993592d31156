//! A line in front of a backend: so many are asked at once, so many wait in order, and the next one is turned away.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// A line with its two bounds.
#[derive(Debug)]
pub(super) struct Line {
    places: Semaphore,
    places_max: usize,
    waiting: AtomicUsize,
    waiting_max: usize,
}

/// Nobody else may wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineFull;

impl Line {
    pub(super) fn new(places_max: usize, waiting_max: usize) -> Self {
        Self {
            places: Semaphore::new(places_max),
            places_max,
            waiting: AtomicUsize::new(0),
            waiting_max,
        }
    }

    /// Waits for a place, first come, first served. Whoever stops waiting leaves the line.
    pub(super) async fn enter(&self) -> Result<SemaphorePermit<'_>, LineFull> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let _waiting = Waiting::begin(self)?;
        // A line is never closed.
        self.places.acquire().await.map_err(|_| LineFull)
    }

    /// How many have a place now.
    pub(super) fn asking(&self) -> usize {
        self.places_max - self.places.available_permits()
    }

    /// How many wait now.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Somebody who waits; no longer when it is dropped.
struct Waiting<'a>(&'a Line);

impl<'a> Waiting<'a> {
    fn begin(line: &'a Line) -> Result<Self, LineFull> {
        // Before the look, so that its end takes the place back however it goes.
        let waiting = Self(line);
        let before = line.waiting.fetch_add(1, Ordering::Relaxed);
        (before < line.waiting_max).then_some(waiting).ok_or(LineFull)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn whoever_came_first_is_first_and_one_too_many_is_turned_away() {
        let line = Line::new(1, 2);
        let place = line.enter().await.unwrap();
        let (mut first, mut second) = (pin!(line.enter()), pin!(line.enter()));
        poll_fn(|context| {
            assert!(first.as_mut().poll(context).is_pending());
            assert!(second.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!((line.asking(), line.waiting()), (1, 2));
        assert_eq!(line.enter().await.err(), Some(LineFull));
        assert_eq!(line.waiting(), 2);
        drop(place);
        let place = first.await.unwrap();
        poll_fn(|context| {
            assert!(second.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(place);
        drop(second.await.unwrap());
        assert_eq!((line.asking(), line.waiting()), (0, 0));
    }

    #[tokio::test]
    async fn whoever_stops_waiting_leaves_the_line() {
        let line = Line::new(1, 1);
        let place = line.enter().await.unwrap();
        {
            let mut gone = pin!(line.enter());
            poll_fn(|context| {
                assert!(gone.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        assert_eq!(line.waiting(), 0);
        drop(place);
        assert!(line.enter().await.is_ok());
    }
}
