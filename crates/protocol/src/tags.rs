//! Tags of publications.

use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

/// The most tags of a publication.
pub const TAGS_MAX: usize = 16;

/// The longest name and the longest value of a tag, in bytes of UTF-8.
pub const TAG_BYTES_MAX: usize = 255;

/// What a publication is labelled with, for those who receive it: up to 16 names with a value each, every name once. A name
/// has 1 to 255 bytes of UTF-8 without control characters, a value up to 255. Cloning costs one reference count.
#[derive(Clone, PartialEq, Eq)]
pub struct Tags(Arc<[Tag]>);

/// A name and a value.
type Tag = (Box<str>, Box<str>);

impl Tags {
    /// Checked tags; none where there are no names. One allocation for each name and value, and one for all.
    ///
    /// # Errors
    /// The rule that they break.
    pub fn parse<N, V>(tags: impl IntoIterator<Item = (N, V)>) -> Result<Option<Self>, TagsError>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut all: Vec<Tag> = Vec::new();
        for (name, value) in tags {
            let (name, value) = (name.as_ref(), value.as_ref());
            check(name, value)?;
            if all.len() == TAGS_MAX {
                return Err(TagsError::TooMany);
            }
            all.push((Box::from(name), Box::from(value)));
        }
        all.sort_unstable();
        match all.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(TagsError::Twice {
                name: pair[0].0.clone(),
            }),
            None => Ok((!all.is_empty()).then(|| Self(Arc::from(all)))),
        }
    }

    /// The value of a tag, if it is there.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Bytes of all names and values.
    pub fn bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

fn check(name: &str, value: &str) -> Result<(), TagsError> {
    if name.is_empty() {
        return Err(TagsError::Nameless);
    }
    for text in [name, value] {
        if text.len() > TAG_BYTES_MAX {
            let (name, bytes) = (Box::from(name), text.len());
            return Err(TagsError::TooLong { name, bytes });
        }
    }
    if name.contains(char::is_control) {
        return Err(TagsError::Control {
            name: Box::from(name),
        });
    }
    Ok(())
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// As an object of names and values.
impl Serialize for Tags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Why texts are no tags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagsError {
    /// There are more than [`TAGS_MAX`].
    #[error("there are more than {TAGS_MAX} tags, put the rest into the data")]
    TooMany,
    /// One has no name.
    #[error("a tag has no name, a name has 1 to {TAG_BYTES_MAX} bytes")]
    Nameless,
    /// One is longer than [`TAG_BYTES_MAX`].
    #[error(
        "tag {} has a name or value of {bytes} bytes, limit is {TAG_BYTES_MAX}",
        shown(name)
    )]
    TooLong {
        /// Its name.
        name: Box<str>,
        /// How long.
        bytes: usize,
    },
    /// One has a control character in its name.
    #[error("tag {name:?} has a control character in its name, choose another")]
    Control {
        /// Its name.
        name: Box<str>,
    },
    /// A name is there twice.
    #[error("tag {name:?} is given twice, give it once")]
    Twice {
        /// The name.
        name: Box<str>,
    },
}

/// The beginning of a name, for an error.
fn shown(name: &str) -> String {
    let beginning: String = name.chars().take(32).collect();
    format!("{beginning:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_by_their_names() {
        let tags = Tags::parse([("b", "2"), ("a", "1"), ("c", "")]).unwrap().unwrap();
        assert_eq!(
            (tags.get("a"), tags.get("c"), tags.get("d")),
            (Some("1"), Some(""), None)
        );
        assert_eq!(
            serde_json::to_string(&tags).unwrap(),
            r#"{"a":"1","b":"2","c":""}"#
        );
        assert_eq!(format!("{tags:?}"), r#"{"a": "1", "b": "2", "c": ""}"#);
        assert_eq!(tags.bytes(), 5);
        assert_eq!(Tags::parse::<&str, &str>([]), Ok(None));
    }

    #[test]
    fn broken_tags_are_refused_with_the_rule() {
        let long = "x".repeat(256);
        for (name, value, error) in [
            ("", "v", "a tag has no name"),
            ("a\n", "v", "has a control character"),
            (&*long, "v", "has a name or value of 256 bytes, limit is 255"),
            ("a", &long, "tag \"a\" has a name or value of 256 bytes"),
        ] {
            let refused = Tags::parse([(name, value)]).unwrap_err().to_string();
            assert!(refused.contains(error) && refused.len() < 128, "{refused}");
        }
        assert_eq!(
            Tags::parse([("a", "1"), ("a", "2")]).unwrap_err().to_string(),
            "tag \"a\" is given twice, give it once"
        );
        let many = (0..17).map(|number| (number.to_string(), ""));
        assert_eq!(Tags::parse(many), Err(TagsError::TooMany));
        assert!(Tags::parse((0..16).map(|number| (number.to_string(), &long[..255]))).is_ok());
    }
}
