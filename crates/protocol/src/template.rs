//! Patterns of topic names with places for who asks, for the rules of a configuration.

use std::fmt;
use std::str::FromStr;

use crate::{TopicName, TopicPattern, TopicPatternError, UserName};

/// The most places for who asks in one template.
pub const TEMPLATE_PLACES_MAX: usize = 4;

/// A pattern of topic names with places for who asks: `inbox:{user}`, `team:{claims.team}:*`.
///
/// Two questions are put to it. Which topics it speaks of, whoever asks: its [`shape`](Self::shape), which is the
/// pattern with a `*` for each place. And whether a topic is meant for somebody: whether it still matches when the
/// places are filled with that one's user name and claims. A claim with several values matches with any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicTemplate {
    parts: Vec<Part>,
    shape: TopicPattern,
}

/// Who asks, as far as a template wants to know.
pub trait Asker {
    /// Its user name.
    fn user(&self) -> Option<&UserName>;

    /// The values of a claim of its token; none when it has no such claim.
    fn claim(&self, name: &str) -> &[Box<str>];
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Star,
    User,
    Claim(Box<str>),
}

impl TopicTemplate {
    /// The pattern with a `*` for each place: the topics that it speaks of, whoever asks.
    pub fn shape(&self) -> &TopicPattern {
        &self.shape
    }

    /// Whether it has places, so that who asks matters.
    pub fn has_places(&self) -> bool {
        self.parts.iter().any(Part::is_place)
    }

    /// Whether `name` is meant for `asker`: it matches when the places are filled.
    ///
    /// Time is bounded by the values of at most [`TEMPLATE_PLACES_MAX`] claims and the length of the name: each part is
    /// tried at each place of the name at most once.
    pub fn admits(&self, name: &TopicName, asker: &(impl Asker + ?Sized)) -> bool {
        self.shape.matches(name) && (!self.has_places() || self.fits(name.as_str(), asker))
    }

    /// Which beginnings of the name fit the parts so far, one part after the other.
    fn fits(&self, name: &str, asker: &(impl Asker + ?Sized)) -> bool {
        let mut reached = vec![false; name.len() + 1];
        reached[0] = true;
        for part in &self.parts {
            let before = std::mem::replace(&mut reached, vec![false; name.len() + 1]);
            let starts = before.iter().enumerate().filter(|(_, is_reached)| **is_reached);
            match part {
                Part::Star => {
                    if let Some((first, _)) = starts.into_iter().next() {
                        reached[first..].fill(true);
                    }
                }
                Part::Text(text) => step(name, starts, std::iter::once(&**text), &mut reached),
                Part::User => {
                    let user = asker.user().map(UserName::as_str);
                    step(name, starts, user.into_iter(), &mut reached);
                }
                Part::Claim(claim) => {
                    let values = asker.claim(claim).iter().map(|value| &**value);
                    step(
                        name,
                        starts,
                        values.filter(|value| !value.is_empty()),
                        &mut reached,
                    );
                }
            }
        }
        reached[name.len()]
    }
}

/// Marks where the name goes on behind any of `texts`, from any of the places reached before.
fn step<'t>(
    name: &str,
    starts: impl Iterator<Item = (usize, impl Sized)>,
    texts: impl Iterator<Item = &'t str> + Clone,
    reached: &mut [bool],
) {
    let rests = starts.map(|(at, _)| (at, &name.as_bytes()[at..]));
    for (at, rest) in rests {
        for text in texts.clone().filter(|text| rest.starts_with(text.as_bytes())) {
            reached[at + text.len()] = true;
        }
    }
}

impl Part {
    fn is_place(&self) -> bool {
        matches!(self, Self::User | Self::Claim(_))
    }

    /// What stands between two braces.
    fn place(text: &str) -> Result<Self, TopicTemplateError> {
        let is_name = |name: &str| {
            (1..=CLAIM_NAME_BYTES_MAX).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        match text.strip_prefix("claims.") {
            _ if text == "user" => Ok(Self::User),
            Some(name) if is_name(name) => Ok(Self::Claim(Box::from(name))),
            _ => Err(TopicTemplateError::Place {
                text: text.chars().take(CLAIM_NAME_BYTES_MAX).collect(),
            }),
        }
    }
}

impl FromStr for TopicTemplate {
    type Err = TopicTemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut parts, mut shape, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}', '*']) {
            let (head, tail) = rest.split_at(at);
            if !head.is_empty() {
                parts.push(Part::Text(Box::from(head)));
            }
            let (part, behind) = match tail.as_bytes()[0] {
                b'*' => (Part::Star, &tail[1..]),
                b'{' => {
                    let (inside, behind) = tail[1..].split_once('}').ok_or(TopicTemplateError::Brace)?;
                    (Part::place(inside)?, behind)
                }
                _ => return Err(TopicTemplateError::Brace),
            };
            parts.push(part);
            shape.push_str(head);
            shape.push('*');
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(Box::from(rest)));
        }
        shape.push_str(rest);
        let places = parts.iter().filter(|part| part.is_place()).count();
        if places > TEMPLATE_PLACES_MAX {
            return Err(TopicTemplateError::Places { places });
        }
        Ok(Self {
            parts,
            shape: shape.parse()?,
        })
    }
}

impl fmt::Display for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(text)?,
                Part::Star => f.write_str("*")?,
                Part::User => f.write_str("{user}")?,
                Part::Claim(name) => write!(f, "{{claims.{name}}}")?,
            }
        }
        Ok(())
    }
}

/// Why a text is not a template of topic names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicTemplateError {
    /// A brace stands alone.
    #[error("a brace has no partner, a place is written `{{user}}` or `{{claims.NAME}}`")]
    Brace,
    /// What stands between braces is no place.
    #[error(
        "`{{{}}}` is no place for who asks, it is `{{user}}` or `{{claims.NAME}}` with a name of letters, digits and `_`",
        text.escape_debug()
    )]
    Place {
        /// What stands there, at most 64 characters of it.
        text: String,
    },
    /// It has more than [`TEMPLATE_PLACES_MAX`] places.
    #[error("pattern has {places} places for who asks, limit is {TEMPLATE_PLACES_MAX}")]
    Places {
        /// How many.
        places: usize,
    },
    /// Without its places it is no pattern.
    #[error(transparent)]
    Pattern(#[from] TopicPatternError),
}

/// The longest name of a claim in a template, in bytes.
const CLAIM_NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Somebody {
        user: Option<UserName>,
        teams: Vec<Box<str>>,
    }

    impl Asker for Somebody {
        fn user(&self) -> Option<&UserName> {
            self.user.as_ref()
        }

        fn claim(&self, name: &str) -> &[Box<str>] {
            if name == "team" { &self.teams } else { &[] }
        }
    }

    fn somebody(user: Option<&str>, teams: &[&str]) -> Somebody {
        Somebody {
            user: user.map(|user| UserName::parse(user).unwrap()),
            teams: teams.iter().map(|&team| Box::from(team)).collect(),
        }
    }

    fn admits(template: &str, name: &str, asker: &Somebody) -> bool {
        let template: TopicTemplate = template.parse().unwrap();
        template.admits(&TopicName::parse(name).unwrap(), asker)
    }

    #[test]
    fn a_place_is_filled_with_who_asks() {
        let ada = somebody(Some("ada"), &["red", "blue"]);
        for (template, name) in [
            ("inbox:{user}", "inbox:ada"),
            ("team:{claims.team}:*", "team:red:chat"),
            ("team:{claims.team}:*", "team:blue:"),
            ("{user}", "ada"),
            ("*{user}*", "xadax"),
            ("{claims.team}-{user}", "red-ada"),
            ("news", "news"),
        ] {
            assert!(admits(template, name, &ada), "{template} {name}");
        }
        for (template, name) in [
            ("inbox:{user}", "inbox:bob"),
            ("inbox:{user}", "inbox:adaX"),
            ("team:{claims.team}:*", "team:green:chat"),
            ("team:{claims.other}:*", "team:red:chat"),
        ] {
            assert!(!admits(template, name, &ada), "{template} {name}");
        }
    }

    #[test]
    fn what_a_place_is_filled_with_is_text_and_no_pattern() {
        let sly = somebody(None, &["*", "a*", ""]);
        for name in ["team:red:chat", "team::chat", "team:a:chat"] {
            assert!(!admits("team:{claims.team}:*", name, &sly), "{name}");
        }
        assert!(!admits("inbox:{user}", "inbox:", &sly), "nobody has no inbox");
    }

    #[test]
    fn the_shape_is_the_same_for_everyone() {
        let template: TopicTemplate = "team:{claims.team}:{user}".parse().unwrap();
        assert_eq!(template.shape().to_string(), "team:*:*");
        assert_eq!(template.to_string(), "team:{claims.team}:{user}");
        assert!(template.has_places());
    }

    #[test]
    fn what_is_no_template_is_explained() {
        for (text, says) in [
            ("a{", "no partner"),
            ("a}", "no partner"),
            ("{user", "no partner"),
            ("{eu}", "`{eu}` is no place"),
            ("{claims.}", "is no place"),
            ("{claims.a-b}", "letters, digits and `_`"),
            ("{user}{user}{user}{user}{user}", "5 places"),
            ("a b", "\\u{20}"),
            ("", "empty"),
        ] {
            let error = text.parse::<TopicTemplate>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    /// Every way to match, tried.
    fn naive(parts: &[Part], name: &str, asker: &Somebody) -> bool {
        let Some((part, rest)) = parts.split_first() else {
            return name.is_empty();
        };
        let behind = |text: &str| {
            name.strip_prefix(text)
                .is_some_and(|name| naive(rest, name, asker))
        };
        match part {
            Part::Text(text) => behind(text),
            Part::User => asker.user.as_ref().is_some_and(|user| behind(user.as_str())),
            Part::Claim(claim) => asker.claim(claim).iter().any(|value| behind(value)),
            Part::Star => (0..=name.len()).any(|skip| naive(rest, &name[skip..], asker)),
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_trying_everything(
            pieces in prop::collection::vec(
                prop::sample::select(vec!["a", "b", "*", "{user}", "{claims.team}", "{claims.none}"]), 1..6),
            name in "[ab]{1,8}",
            user in prop::option::of("[ab]{1,2}"),
            teams in prop::collection::vec("[ab]{1,2}", 0..3),
        ) {
            let Ok(template) = pieces.concat().parse::<TopicTemplate>() else {
                return Ok(());
            };
            let teams: Vec<&str> = teams.iter().map(String::as_str).collect();
            let asker = somebody(user.as_deref(), &teams);
            let expected = naive(&template.parts, &name, &asker);
            prop_assert_eq!(template.admits(&TopicName::parse(&name).unwrap(), &asker), expected);
        }
    }
}
