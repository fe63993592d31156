//! What a client says of itself that speaks first.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Payload, TopicName};

/// What a client says of itself when it asks to be let in, beside its token. Nothing of it is checked: it is for the
/// application.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Greeting {
    /// What it has for the application.
    pub data: Option<Payload>,
    /// What it is: its library, or a name of its own; empty where it does not say.
    pub name: String,
    /// Which version of that; empty where it does not say.
    pub version: String,
    /// Topics that the server has subscribed it to before and that it names again, in the order of their names.
    pub topics: Vec<TopicName>,
    /// Headers that it would have sent with its request if it could have, by their names as it wrote them.
    pub headers: BTreeMap<String, String>,
}

/// Data and headers are for the application alone.
impl fmt::Debug for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Greeting")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_the_application_is_not_for_logs() {
        let greeting = Greeting {
            data: Some(Payload::text("secret")),
            headers: [("authorization".to_owned(), "secret".to_owned())].into(),
            ..Greeting::default()
        };
        assert!(!format!("{greeting:?}").contains("secret"));
    }
}
