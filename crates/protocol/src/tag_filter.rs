//! Which publications a subscriber wants, by their tags.

use crate::Tags;

/// The most comparisons and connectives of a filter.
pub const FILTER_NODES_MAX: usize = 64;

/// The most values of one comparison.
pub const FILTER_VALUES_MAX: usize = 64;

/// How deep connectives may stand in one another.
pub const FILTER_DEPTH_MAX: usize = 8;

/// A condition on the tags of publications. A tag that is not there is equal to nothing. Costs at most a look at each of its
/// [`FILTER_NODES_MAX`] parts and their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagFilter {
    /// All of these hold.
    All(Vec<Self>),
    /// One of these holds.
    Any(Vec<Self>),
    /// This does not hold.
    Not(Box<Self>),
    /// This is so of a tag.
    Tag {
        /// Its name.
        name: Box<str>,
        /// What is so of its value.
        is: Comparison,
    },
}

/// What is so of the value of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is there.
    Exists,
    /// It is one of these.
    OneOf(Vec<Box<str>>),
    /// It begins so.
    StartsWith(Box<str>),
    /// It ends so.
    EndsWith(Box<str>),
    /// This is in it.
    Contains(Box<str>),
    /// It is a number, and so is this, and they stand so to each other.
    Number(Order, Number),
}

/// How two numbers stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The tag is less.
    Less,
    /// Less or equal.
    AtMost,
    /// Greater.
    Greater,
    /// Greater or equal.
    AtLeast,
}

/// A decimal number, finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number(f64);

// It is finite, so that it is equal to itself.
impl Eq for Number {}

impl Number {
    /// The number that a text is: digits, with a sign, a fraction, an exponent.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        let number: f64 = text.parse().ok().filter(|_| is_plain)?;
        number.is_finite().then_some(Self(number))
    }
}

impl TagFilter {
    /// Whether a publication with these tags is wanted.
    pub fn matches(&self, tags: Option<&Tags>) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.matches(tags)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(tags)),
            Self::Not(filter) => !filter.matches(tags),
            Self::Tag { name, is } => tags
                .and_then(|tags| tags.get(name))
                .is_some_and(|value| is.holds(value)),
        }
    }

    /// How many parts it has.
    pub fn nodes(&self) -> usize {
        1 + match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().map(Self::nodes).sum(),
            Self::Not(filter) => filter.nodes(),
            Self::Tag { .. } => 0,
        }
    }
}

impl Comparison {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Exists => true,
            Self::OneOf(values) => values.iter().any(|one| **one == *value),
            Self::StartsWith(text) => value.starts_with(&**text),
            Self::EndsWith(text) => value.ends_with(&**text),
            Self::Contains(text) => value.contains(&**text),
            Self::Number(order, Number(number)) => {
                Number::parse(value).is_some_and(|Number(value)| match order {
                    Order::Less => value < *number,
                    Order::AtMost => value <= *number,
                    Order::Greater => value > *number,
                    Order::AtLeast => value >= *number,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str, is: Comparison) -> TagFilter {
        let name = Box::from(name);
        TagFilter::Tag { name, is }
    }

    fn text(text: &str) -> Box<str> {
        Box::from(text)
    }

    #[test]
    fn a_filter_says_which_tags_are_wanted() {
        let tags = Tags::parse([("kind", "goal"), ("minute", "67.5")]).unwrap();
        let number = |text: &str| Number::parse(text).unwrap();
        let goal = tag("kind", Comparison::OneOf(vec![text("card"), text("goal")]));
        for (filter, expected) in [
            (goal.clone(), true),
            (TagFilter::Not(Box::new(goal.clone())), false),
            (tag("kind", Comparison::Exists), true),
            (tag("team", Comparison::Exists), false),
            (tag("kind", Comparison::StartsWith(text("go"))), true),
            (tag("kind", Comparison::EndsWith(text("go"))), false),
            (tag("kind", Comparison::Contains(text("oa"))), true),
            (
                tag("minute", Comparison::Number(Order::Less, number("67.5"))),
                false,
            ),
            (
                tag("minute", Comparison::Number(Order::AtMost, number("+6.75e1"))),
                true,
            ),
            (
                tag("minute", Comparison::Number(Order::Greater, number("-1"))),
                true,
            ),
            (
                tag("minute", Comparison::Number(Order::AtLeast, number("68"))),
                false,
            ),
            (
                tag("kind", Comparison::Number(Order::AtLeast, number("0"))),
                false,
            ),
            (
                TagFilter::All(vec![goal.clone(), tag("x", Comparison::Exists)]),
                false,
            ),
            (TagFilter::Any(vec![tag("x", Comparison::Exists), goal]), true),
        ] {
            assert_eq!(filter.matches(tags.as_ref()), expected, "{filter:?}");
        }
        assert!(!tag("kind", Comparison::Exists).matches(None));
    }

    #[test]
    fn words_are_no_numbers() {
        for text in ["", "inf", "NaN", "1e999", "0x1", " 1", "1_0", "e", "١"] {
            assert_eq!(Number::parse(text), None, "{text:?}");
        }
    }
}
