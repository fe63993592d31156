//! A topic for each user, which all of the user's connections are subscribed to when they come.

use std::fmt;
use std::str::FromStr;

use fanfare_protocol::{TopicName, UserName};

/// The topic of a user, with `{user}` for the name: `inbox:{user}`. Where the topic has the name, a `%` in it is `%25`.
///
/// ```
/// use fanfare::{UserName, UserTopic};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let inboxes: UserTopic = "inbox:{user}".parse()?;
/// let topic = inboxes.of(&UserName::parse("ada")?);
/// assert_eq!(topic.unwrap().as_str(), "inbox:ada");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserTopic {
    before: Box<str>,
    behind: Box<str>,
}

impl UserTopic {
    /// The topic of this user; `None` where it would be too long for a topic.
    pub fn of(&self, user: &UserName) -> Option<TopicName> {
        let user = user.as_str().replace('%', "%25");
        TopicName::parse(&format!("{}{user}{}", self.before, self.behind)).ok()
    }
}

impl FromStr for UserTopic {
    type Err = UserTopicError;

    fn from_str(text: &str) -> Result<Self, UserTopicError> {
        let (before, behind) = text.split_once(PLACE).ok_or(UserTopicError)?;
        // What it has beside the name of a user is what a topic may have.
        let is_topic =
            TopicName::parse(&format!("{before}x{behind}")).is_ok_and(|topic| !topic.is_reserved());
        if !is_topic || text.replace(PLACE, "").contains(['{', '}', '*']) || behind.contains(PLACE) {
            return Err(UserTopicError);
        }
        Ok(Self {
            before: before.into(),
            behind: behind.into(),
        })
    }
}

impl fmt::Display for UserTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{PLACE}{}", self.before, self.behind)
    }
}

/// Why a text names no topic for each user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be a topic's name with one `{{user}}` in it, such as `inbox:{{user}}`")]
pub struct UserTopicError;

/// Where the user's name stands.
const PLACE: &str = "{user}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_a_topic() {
        for (text, user, topic) in [
            ("%23{user}", "42", Some("%2342")),
            ("inbox:{user}:all", "a%b", Some("inbox:a%25b:all")),
            ("{user}", "ada", Some("ada")),
        ] {
            let topics: UserTopic = text.parse().unwrap();
            assert_eq!(topics.to_string(), text);
            let named = topics.of(&UserName::parse(user).unwrap());
            assert_eq!(named.as_ref().map(TopicName::as_str), topic);
        }
        let long: UserTopic = format!("{}{{user}}", "x".repeat(250)).parse().unwrap();
        assert_eq!(long.of(&UserName::parse("somebody").unwrap()), None);
    }

    #[test]
    fn what_names_no_topic_for_each_user_is_none() {
        for text in [
            "",
            "inbox",
            "{user}{user}",
            "inbox:*:{user}",
            "a b{user}",
            "$user:{user}",
            "{claims.team}:{user}",
            "{user",
        ] {
            assert_eq!(text.parse::<UserTopic>(), Err(UserTopicError), "{text}");
        }
    }
}
