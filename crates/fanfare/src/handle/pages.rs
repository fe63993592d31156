//! What there is: topics, subscribers and connections, page by page.

use fanfare_hub::broker::{Broker, TopicPage};
use fanfare_hub::{ConnectionRow, Listed, RosterPage};
use fanfare_protocol::{ConnectionId, UserName};
use tokio::sync::oneshot;

use super::{CallError, Fanfare};
use crate::shard::Mail;

/// A page of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionPage {
    /// The connections, shard by shard.
    pub connections: Vec<ConnectionRow>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<u64>,
}

impl Fanfare {
    /// At most `count` (bounded to 1,000) topics from `cursor` on, 0 at first.
    ///
    /// ```
    /// # fn example(fanfare: fanfare::Fanfare) {
    /// let mut cursor = Some(0);
    /// while let Some(from) = cursor {
    ///     let page = fanfare.topics(from, 100);
    ///     for row in page.topics {
    ///         println!("{}: {} subscribers, {}", row.topic.as_str(), row.subscribers, row.position.offset);
    ///     }
    ///     cursor = page.next;
    /// }
    /// # }
    /// ```
    pub fn topics(&self, cursor: u64, count: usize) -> TopicPage {
        self.inner.broker.topics(cursor, count.clamp(1, PAGE_MAX))
    }

    /// Connections subscribed to a topic. [Consumers](Fanfare::subscribe) are not counted.
    pub fn subscribers(&self, topic: &str) -> u64 {
        self.inner.broker.subscribers(topic)
    }

    /// At most `count` (bounded to 1,000) of those who are in a topic, in the order of their ids, behind `after` or the
    /// first; and how many there are. Whoever stays is on exactly one page. Nobody, where the topic's rule does not
    /// [keep it](crate::TopicRule::keep_presence). Costs what it gives.
    ///
    /// ```
    /// # fn example(fanfare: fanfare::Fanfare) {
    /// let page = fanfare.presence("room", None, 100);
    /// println!("{} connections of {} users", page.attendance.connections, page.attendance.users);
    /// for member in page.members {
    ///     println!("{} since {}", member.connection, member.since.0);
    /// }
    /// # }
    /// ```
    pub fn presence(&self, topic: &str, after: Option<ConnectionId>, count: usize) -> RosterPage {
        self.inner.broker.roster(topic, after, count.clamp(1, PAGE_MAX))
    }

    /// At most `count` (bounded to 1,000) connections from `cursor` on, 0 at first. Connections that come or go
    /// between two pages may be missed; none is given twice.
    ///
    /// ```
    /// # async fn example(fanfare: fanfare::Fanfare) -> Result<(), fanfare::CallError> {
    /// use fanfare::Listed;
    ///
    /// // Those that do not keep up.
    /// let page = fanfare.connections(Listed::Behind, 0, 100).await?;
    /// for row in page.connections {
    ///     println!("{}: {} publications wait", row.remote, row.outbox_frames);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a shard is busy or gone.
    pub async fn connections(
        &self,
        listed: Listed,
        cursor: u64,
        count: usize,
    ) -> Result<ConnectionPage, CallError> {
        let count = count.clamp(1, PAGE_MAX);
        let mut page = ConnectionPage::default();
        let (first, mut from) = ((cursor >> 32) as usize, (cursor & u64::from(u32::MAX)) as usize);
        for shard in first..self.inner.mailboxes.len() {
            let (answer, answered) = oneshot::channel();
            let left = count - page.connections.len();
            self.post(
                shard,
                Mail::Page {
                    listed,
                    from,
                    count: left,
                    answer,
                },
            )?;
            let (rows, next) = answered.await.map_err(|_| self.unanswered(shard))?;
            page.connections.extend(rows);
            if let Some(slot) = next {
                page.next = Some((shard as u64) << 32 | slot as u64);
                return Ok(page);
            }
            from = 0;
        }
        Ok(page)
    }

    /// One connection; none when it is not open.
    ///
    /// ```
    /// # async fn example(fanfare: fanfare::Fanfare, id: fanfare::ConnectionId) -> Result<(), fanfare::CallError> {
    /// if let Some(row) = fanfare.connection(id).await? {
    ///     println!("{} is in {} topics", row.remote, row.topics.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When its shard is busy or gone.
    pub async fn connection(&self, connection: ConnectionId) -> Result<Option<ConnectionRow>, CallError> {
        let cursor = (connection.shard() as u64) << 32 | connection.slot() as u64;
        let page = self.connections(Listed::All, cursor, 1).await?;
        let mut rows = page.connections.into_iter();
        // In its place there may be one that came later.
        Ok(rows.find(|row| row.connection == connection))
    }

    /// The connections of a user. Costs a look at every connection, a thousand at a time; one that comes meanwhile may be
    /// missed.
    ///
    /// # Errors
    /// When a shard is busy or gone.
    pub async fn connections_of(&self, user: &UserName) -> Result<Vec<ConnectionRow>, CallError> {
        let (mut rows, mut next) = (Vec::new(), Some(0));
        while let Some(cursor) = next {
            let page = self.connections(Listed::All, cursor, PAGE_MAX).await?;
            let own = |row: &ConnectionRow| row.user.as_ref() == Some(user);
            rows.extend(page.connections.into_iter().filter(own));
            next = page.next;
        }
        Ok(rows)
    }
}

/// The most rows of one page.
const PAGE_MAX: usize = 1_000;
