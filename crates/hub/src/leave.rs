//! What a subscription is granted: for how long, and what comes with it.

use std::sync::Arc;

use fanfare_protocol::{Payload, Timestamp, TopicName};

/// Leave to receive a topic. The default is a plain yes: for as long as the connection lasts, and nothing comes with it.
///
/// ```
/// use fanfare_hub::Leave;
/// use fanfare_protocol::{Payload, Timestamp};
///
/// let for_a_while = Leave {
///     expires_at: Some(Timestamp(1_790_000_000_000)),
///     data: Some(Payload::text("welcome to the room")),
///     info: Some(r#"{"role":"guest"}"#.into()),
///     ..Leave::default()
/// };
/// assert_ne!(for_a_while, Leave::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leave {
    /// When it ends unless it is renewed; `None` for never. It is looked at once in a second, and what is renewed later has
    /// 25 s for it; see [`RenewedBy`].
    pub expires_at: Option<Timestamp>,
    /// Who renews it.
    pub renewed_by: RenewedBy,
    /// What the client is given when it is told that it is subscribed. It is not kept.
    pub data: Option<Payload>,
    /// What others may see of the client in this topic, beside what they see of it everywhere: JSON. It goes along with
    /// everything that the client publishes there.
    pub info: Option<Arc<str>>,
}

/// Who renews a subscription that ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RenewedBy {
    /// The application, which is asked when the end has come. The client is not told of it.
    #[default]
    Application,
    /// The client, by another token. It is told when.
    Client,
}

impl Leave {
    /// Whether it is a yes and nothing more.
    pub(crate) fn is_plain(&self) -> bool {
        let Self {
            expires_at,
            renewed_by: _,
            data,
            info,
        } = self;
        expires_at.is_none() && data.is_none() && info.is_none()
    }
}

/// Leave for the topics of a question: the same for all of them, or one for each in their order. The default is a plain yes
/// to all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaves(Vec<Leave>);

impl Leaves {
    /// The leave for each of the topics of the question.
    pub(crate) fn for_each(self, topics: Vec<TopicName>) -> impl Iterator<Item = (TopicName, Leave)> {
        let rest = match &*self.0 {
            [one] => one.clone(),
            _ => Leave::default(),
        };
        let leaves = self.0.into_iter().chain(std::iter::repeat(rest));
        topics.into_iter().zip(leaves)
    }
}

impl From<Leave> for Leaves {
    /// The same for all.
    fn from(leave: Leave) -> Self {
        Self(vec![leave])
    }
}

impl FromIterator<Leave> for Leaves {
    /// One for each, in the order of the topics. A single one is for all.
    fn from_iter<I: IntoIterator<Item = Leave>>(leaves: I) -> Self {
        Self(leaves.into_iter().collect())
    }
}
