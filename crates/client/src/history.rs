//! What was published before: how it is asked for, and what comes.

use fanfare_protocol::{Loss, Position, Reading};
use serde::Deserialize;

use crate::commands::Commands;
use crate::error::Error;
use crate::place::{loss, next, position};
use crate::publication::Publication;

/// Which part of a topic's history is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryOptions {
    /// From where on and in which direction. Default: from the oldest that is kept.
    pub reading: Reading,
    /// Publications in a page, 1 to 1,000. The server gives fewer when they are large. Default: the server's, 100.
    pub limit: Option<u32>,
}

impl Default for HistoryOptions {
    fn default() -> Self {
        Self {
            reading: Reading::Oldest,
            limit: None,
        }
    }
}

/// A part of a topic's history.
#[derive(Debug, Clone, Deserialize)]
pub struct HistoryPage {
    /// The topic.
    pub topic: String,
    /// Where its log stands.
    #[serde(flatten, deserialize_with = "position")]
    pub end: Position,
    /// The publications, in the direction of the reading.
    #[serde(rename = "messages")]
    pub publications: Vec<Publication>,
    /// Where to read on; none when there is no more.
    #[serde(default, deserialize_with = "next")]
    pub next: Option<Reading>,
    /// Whether the position that was named could be gone on from; none when none was.
    pub recovered: Option<bool>,
    /// Why not. The page then is what there is instead, as after a [`Subscribed`](crate::Subscribed).
    #[serde(default, deserialize_with = "loss")]
    pub reason: Option<Loss>,
}

impl HistoryPage {
    /// Tells its publications what the page tells once for all of them.
    pub(crate) fn completed(mut self) -> Self {
        for publication in &mut self.publications {
            publication.topic = Some(self.topic.clone());
            publication.epoch = Some(self.end.epoch);
        }
        self
    }
}

/// Pages of a topic's history, one after the other, made by [`Commands::history`]. Nothing is asked for ahead.
#[derive(Debug)]
pub struct History {
    commands: Commands,
    topic: String,
    /// None when there is no more.
    options: Option<HistoryOptions>,
}

impl History {
    pub(crate) fn new(commands: Commands, topic: &str, options: HistoryOptions) -> Self {
        Self {
            commands,
            topic: topic.to_owned(),
            options: Some(options),
        }
    }

    /// The next page, which may be empty; none after the last one. After an error it may be asked for again.
    ///
    /// # Errors
    /// Those of [`Commands::history_page`].
    pub async fn next(&mut self) -> Result<Option<HistoryPage>, Error> {
        let Some(options) = self.options else {
            return Ok(None);
        };
        let page = self.commands.history_page(&self.topic, options).await?;
        self.options = page.next.map(|reading| HistoryOptions { reading, ..options });
        Ok(Some(page))
    }
}
