//! Reading what was published.

use fanfare_hub::broker::Read;
use fanfare_protocol::{HistoryPage, Reading, TopicName};

use super::{CallError, Fanfare};
use crate::clock::wall;

impl Fanfare {
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
}
