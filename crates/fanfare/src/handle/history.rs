//! Reading what was published.

use fanfare_hub::broker::Read;
use fanfare_protocol::{HistoryPage, Position, Reading, TopicName};

use super::{CallError, Fanfare};
use crate::clock::wall;

impl Fanfare {
    /// Whether publications of a topic are kept: its rule says so or, where that says nothing,
    /// [`Options::history`](crate::Options::history).
    pub fn keeps_history_of(&self, topic: &TopicName) -> bool {
        let own = self.rules().of(topic).and_then(|rule| rule.retention);
        own.unwrap_or(self.options().history).keeps()
    }

    /// Publications that a topic keeps: at most `limit` (bounded to 1,000) and 256 KiB, or one that is longer than that. Where
    /// there are more, `next` of the page says where to read on. With a `limit` of 0 it only tells where the topic stands.
    ///
    /// No rules apply: the host's code is trusted. A topic that does not exist is empty, and is not made by that. How much
    /// is kept is said by [`Options::history`](crate::Options::history).
    ///
    /// ```
    /// use fanfare::{Fanfare, Options, Payload, Reading, Retention, Since};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let fanfare = Fanfare::start(Options {
    ///     history: Retention { publications_max: 1_000, ..Retention::default() },
    ///     ..Options::default()
    /// })?;
    /// for text in ["one", "two", "three"] {
    ///     fanfare.publish("news", Payload::text(text)).await?;
    /// }
    /// let newest = fanfare.history("news", Reading::Since(Since::Last(1)), 100).await?;
    /// assert_eq!(newest.publications[0].draft.payload, Payload::text("three"));
    ///
    /// // All of it, two at a time.
    /// let (mut reading, mut offsets) = (Some(Reading::Oldest), Vec::new());
    /// while let Some(from) = reading {
    ///     let page = fanfare.history("news", from, 2).await?;
    ///     offsets.extend(page.publications.iter().map(|publication| publication.position.offset));
    ///     reading = page.next.map(Reading::from);
    /// }
    /// assert_eq!(offsets, [1, 2, 3]);
    /// # fanfare.shutdown(Default::default(), std::time::Duration::from_secs(1)).await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the name is no topic name, when 1,024 reads are under way, when the broker cannot read now, and when the hub is
    /// shut down.
    pub async fn history(&self, topic: &str, reading: Reading, limit: u32) -> Result<HistoryPage, CallError> {
        let topic = TopicName::parse(topic)?;
        let read = Read::asked(reading, limit, wall());
        let page = self.inner.reads.read(&*self.inner.broker, &topic, read).await?;
        Ok(page.answer(topic, reading))
    }

    /// Keeps nothing of a topic that was published so far; gives where it stands. Done when that cannot come back. Whoever
    /// is subscribed does not notice; whoever comes back to go on where it was is told that something is lost, as where it
    /// was kept for too short a time. Publications that are taken in meanwhile are kept.
    ///
    /// ```
    /// # async fn example(fanfare: fanfare::Fanfare) -> Result<(), fanfare::CallError> {
    /// let position = fanfare.remove_history("room:7").await?;
    /// println!("the next one is number {}", position.offset + 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the name is no topic name, or the broker cannot do it now; nothing is removed then.
    pub async fn remove_history(&self, topic: &str) -> Result<Position, CallError> {
        let topic = TopicName::parse(topic)?;
        let broker = &self.inner.broker;
        let removed = self.answered(|outlet, asked| broker.remove_history(&topic, outlet, asked));
        Ok(removed.await?.position)
    }
}
