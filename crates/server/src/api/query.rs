//! The query string of a call.

use axum::http::Uri;
use fanfare::TopicName;

use super::answer::{Code, Problem};

/// The parameters of a call, decoded.
#[derive(Debug)]
pub(super) struct Query {
    parameters: Vec<(String, String)>,
}

impl Query {
    /// Reads the query string of `uri`, where only the parameters `known` may stand.
    ///
    /// # Errors
    /// Another parameter, or one that is not UTF-8.
    pub(super) fn parse(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let query = uri.query().unwrap_or_default();
        let mut parameters = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&&*name) {
                return Err(bad(unknown(&name, known)));
            }
            // What is not UTF-8 was decoded to this character, and a name that has it would be another one.
            if value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(bad(format!("`{name}` is not percent-encoded UTF-8")));
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self { parameters })
    }

    /// Every value of a parameter that may be repeated.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let given = self.parameters.iter().filter(|(given, _)| given == name);
        given.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a parameter.
    ///
    /// # Errors
    /// It is repeated.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        match self.all(name)[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(bad(format!("`{name}` is repeated, give it once"))),
        }
    }

    /// The one topic that a call is about.
    ///
    /// # Errors
    /// `topic` is missing, repeated, or no topic name.
    pub(super) fn topic(&self) -> Result<TopicName, Problem> {
        let Some(name) = self.one("topic")? else {
            return Err(bad("`topic` is missing, it names the topic".to_owned()));
        };
        TopicName::parse(name).map_err(|error| Problem::new(Code::BadTopic, error.to_string()))
    }

    /// Whether a switch is on; it is off when it is not given.
    ///
    /// # Errors
    /// It is repeated or neither `true` nor `false`.
    pub(super) fn is_on(&self, name: &str) -> Result<bool, Problem> {
        match self.one(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(value) => Err(bad(format!("`{name}` is {value:?}, it is true or false"))),
        }
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return format!("{name:?} is no parameter of this path, it takes none");
    }
    format!(
        "{name:?} is no parameter of this path, it takes {}",
        known.join(", ")
    )
}

fn bad(message: String) -> Problem {
    Problem::new(Code::BadQuery, message)
}
