//! Reading what was published to a channel, and dropping it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfare::{
    HistoryPage, Loss, Payload, PayloadKind, Position, Publication, Publisher, Reading, Since, Tags,
    TopicName,
};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::answer::{Code, Done, Failure};
use super::presence::Client;
use super::{Desk, topic_named};
use crate::api::scope::Scope;

/// The parameters of `history`.
#[derive(Deserialize)]
pub(super) struct HistoryAsked {
    channel: Option<String>,
    limit: Option<i64>,
    since: Option<StreamPosition>,
    reverse: Option<bool>,
}

/// A place as callers name it.
#[derive(Deserialize)]
struct StreamPosition {
    offset: Option<u64>,
    epoch: Option<String>,
}

/// The parameters of `history_remove`.
#[derive(Deserialize)]
pub(super) struct HistoryRemoving {
    channel: Option<String>,
}

/// What a channel keeps, and where it stands.
#[derive(Debug, Serialize)]
pub(super) struct History {
    publications: Vec<Kept>,
    epoch: String,
    offset: u64,
}

/// A publication that is kept. Bytes are in `b64data`, and `data` is null.
#[derive(Debug, Serialize)]
struct Kept {
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b64data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<Client>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Tags>,
    offset: u64,
}

impl HistoryAsked {
    pub(super) async fn run(self, desk: Desk<'_>) -> Result<History, Failure> {
        let topic = topic_named(self.channel.as_deref())?;
        desk.caller.check_history(&desk.api.fanfare, &topic)?;
        check_keeping(desk, &topic)?;
        let end = self.standing(desk, &topic).await?;
        let (mut reading, count) = (self.reading(end)?, self.count());
        let mut history = History::standing_at(end);
        while history.publications.len() < count {
            let left = count - history.publications.len();
            let page = desk
                .api
                .fanfare
                .history(topic.as_str(), reading, left as u32)
                .await?;
            if page.recovered == Some(Err(Loss::EpochChanged)) {
                return Err(another_epoch(page.end));
            }
            let next = page.next;
            history.take(&page);
            match next {
                Some(next) => reading = next.into(),
                None => break,
            }
        }
        Ok(history)
    }

    /// How many publications are wanted: none where nothing is said, and never more than [`COUNT_MAX`].
    fn count(&self) -> usize {
        let limit = self.limit.unwrap_or_default();
        usize::try_from(limit).map_or(COUNT_MAX, |limit| limit.min(COUNT_MAX))
    }

    /// Where the channel stands.
    ///
    /// # Errors
    /// It is another epoch than the one that is asked for.
    async fn standing(&self, desk: Desk<'_>, topic: &TopicName) -> Result<Position, Failure> {
        let page = desk
            .api
            .fanfare
            .history(topic.as_str(), Reading::Oldest, 0)
            .await?;
        let epoch = self.since.as_ref().and_then(|since| since.epoch.as_deref());
        match epoch.filter(|epoch| !epoch.is_empty()) {
            Some(epoch) if epoch != page.end.epoch.to_string() => Err(another_epoch(page.end)),
            _ => Ok(page.end),
        }
    }

    /// What is to be read of a channel that stands at `end`.
    fn reading(&self, end: Position) -> Result<Reading, Failure> {
        let since = self.since.as_ref().map(|since| Position {
            offset: since.offset.unwrap_or_default(),
            ..end
        });
        match (since, self.reverse.unwrap_or_default()) {
            (Some(since), true) if since.offset == 0 => Err(Failure::bad_request(
                "`since.offset` is 0, before which there is nothing; with `reverse` name a later one",
            )),
            (Some(since), true) => Ok(Reading::Before(since)),
            (Some(since), false) => Ok(Reading::Since(Since::Position(since))),
            (None, true) => Ok(Reading::Before(end.next())),
            (None, false) => Ok(Reading::Oldest),
        }
    }
}

impl HistoryRemoving {
    pub(super) async fn run(self, desk: Desk<'_>) -> Result<Done, Failure> {
        desk.caller.check(Scope::Admin)?;
        let topic = topic_named(self.channel.as_deref())?;
        check_keeping(desk, &topic)?;
        desk.api.fanfare.remove_history(topic.as_str()).await?;
        Ok(Done::Nothing {})
    }
}

impl History {
    fn standing_at(end: Position) -> Self {
        Self {
            publications: Vec::new(),
            epoch: end.epoch.to_string(),
            offset: end.offset,
        }
    }

    /// Adds a page. The channel stands where the last one says.
    fn take(&mut self, page: &HistoryPage) {
        self.offset = page.end.offset;
        let kept = page.publications.iter().map(|publication| Kept::of(publication));
        self.publications.extend(kept);
    }
}

impl Kept {
    fn of(publication: &Publication) -> Self {
        let payload = &publication.draft.payload;
        let is_binary = payload.kind() == PayloadKind::Binary;
        Self {
            data: json_of(payload),
            b64data: is_binary.then(|| STANDARD.encode(payload.as_bytes())),
            info: publication.draft.from.as_ref().map(client),
            tags: publication.draft.tags.clone(),
            offset: publication.position.offset,
        }
    }
}

fn client(publisher: &Publisher) -> Client {
    let infos = [publisher.info.as_ref(), publisher.topic_info.as_ref()];
    Client::new(publisher.connection, publisher.user.as_ref(), infos)
}

/// A payload as JSON, where it has such a form.
fn json_of(payload: &Payload) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(payload.as_bytes()).ok()?;
    match payload.kind() {
        PayloadKind::Json => RawValue::from_string(text.to_owned()).ok(),
        PayloadKind::Text => to_raw_value(text).ok(),
        PayloadKind::Binary => None,
    }
}

fn check_keeping(desk: Desk<'_>, topic: &TopicName) -> Result<(), Failure> {
    if desk.api.fanfare.keeps_history_of(topic) {
        return Ok(());
    }
    Err(Failure::not_available(format!(
        "nothing is kept of {:?}, set `history_frames` in its rule",
        topic.as_str()
    )))
}

fn another_epoch(end: Position) -> Failure {
    let message = format!(
        "the channel's epoch is {:?}, which is not the one that is asked for; read without `since`",
        end.epoch.to_string()
    );
    Failure::new(Code::Unrecoverable, message)
}

/// The most publications of one answer, which are read where more or -1 is asked for. With the longest message it bounds an
/// answer.
const COUNT_MAX: usize = 300;
