//! Topics of which each user has one.

use std::fmt;
use std::str::FromStr;

use fanfare_protocol::{TopicName, TopicNameError, UserName};

/// A topic of which each user has one: text in which `{user}` stands for its name, in which `%` is `%25` as in names of topics.
///
/// ```
/// use fanfare_hub::access::PersonalTopic;
/// use fanfare_protocol::UserName;
///
/// let inbox: PersonalTopic = "inbox:{user}".parse().unwrap();
/// let ada = UserName::parse("ada").unwrap();
/// assert_eq!(inbox.of(&ada).unwrap().as_str(), "inbox:ada");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalTopic {
    before: Box<str>,
    behind: Box<str>,
}

impl PersonalTopic {
    /// The topic of a user; none where its name would be too long, or is one that no topic can have.
    pub fn of(&self, user: &UserName) -> Option<TopicName> {
        let name = user.as_str().replace('%', "%25");
        TopicName::parse(&format!("{}{name}{}", self.before, self.behind)).ok()
    }
}

impl FromStr for PersonalTopic {
    type Err = PersonalTopicError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (before, behind) = text.split_once(PLACE).ok_or(PersonalTopicError::NoPlace)?;
        let rest = [before, behind].concat();
        if rest.contains(['{', '}', '*']) {
            return Err(PersonalTopicError::Pattern);
        }
        TopicName::check(&format!("{before}x{behind}"))?;
        Ok(Self {
            before: Box::from(before),
            behind: Box::from(behind),
        })
    }
}

impl fmt::Display for PersonalTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{PLACE}{}", self.before, self.behind)
    }
}

/// Why a text is no topic of which each user has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PersonalTopicError {
    /// It does not say where the user's name stands.
    #[error("it has no `{{user}}`, write one topic for each user, such as `inbox:{{user}}`")]
    NoPlace,
    /// It is for more than one topic.
    #[error(
        "beside `{{user}}` there is a brace or a `*`, write the name of one topic, such as `inbox:{{user}}`"
    )]
    Pattern,
    /// No topic has such a name.
    #[error(transparent)]
    Name(#[from] TopicNameError),
}

/// Where the user's name stands.
const PLACE: &str = "{user}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_one() {
        let topic = |text: &str, user: &str| {
            let personal: PersonalTopic = text.parse().unwrap();
            assert_eq!(personal.to_string(), text);
            let topic = personal.of(&UserName::parse(user).unwrap());
            topic.map(|topic| topic.as_str().to_owned())
        };
        for (text, user, expected) in [
            ("inbox:{user}", "ada", Some("inbox:ada")),
            ("%23{user}", "50%", Some("%2350%25")),
            ("{user}:x", "$ada", None),
        ] {
            assert_eq!(topic(text, user).as_deref(), expected, "{text} {user}");
        }
        let long = "x".repeat(200);
        assert_eq!(topic(&format!("{long}{{user}}"), &long), None);
    }

    #[test]
    fn what_is_not_one_topic_of_each_user_is_refused() {
        let error = |text: &str| text.parse::<PersonalTopic>().unwrap_err();
        assert_eq!(error("inbox"), PersonalTopicError::NoPlace);
        for text in ["{user}:{user}", "{user}*", "{claims.a}{user}"] {
            assert_eq!(error(text), PersonalTopicError::Pattern, "{text}");
        }
        for text in ["$all{user}", "a b{user}"] {
            assert!(matches!(error(text), PersonalTopicError::Name(_)), "{text}");
        }
    }
}
