//! The configuration that is made, option by option, and what is to be said about it.

use std::fmt::Write as _;

use crate::options::refusal;

use super::settings::{plain, spelt};

/// Where in the output something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Listening,
    Access,
    Tokens,
    Hooks,
    Limits,
    Around,
    /// What holds for private channels, of every namespace.
    Private,
    /// The namespace with this index.
    Namespace(usize),
    /// What is in no namespace, and what is in none that there is.
    WithoutNamespace,
}

/// How much is different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// It harms neither safety nor delivery.
    Note,
    /// Who may do what, or who gets what, is different.
    Lost,
}

/// Something to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    place: Place,
    /// How much is different.
    pub(super) weight: Weight,
    /// In one line without control characters: whatever it was made of cannot end a comment.
    line: String,
}

/// A configuration in the making.
#[derive(Debug, Default)]
pub(super) struct Draft {
    options: Vec<(Place, &'static str, toml::Value)>,
    rules: Vec<(Place, Rule)>,
    findings: Vec<Finding>,
}

/// One `[[topic_rule]]`, its keys in order.
pub(super) type Rule = Vec<(&'static str, toml::Value)>;

impl Draft {
    /// Sets an option, if its own rule takes the value; else it is lost, with that rule's words. Whether it was set.
    pub(super) fn set(
        &mut self,
        place: Place,
        key: &'static str,
        value: impl Into<toml::Value>,
        subject: &str,
    ) -> bool {
        let value = value.into();
        match refusal(key, &value) {
            None => self.options.push((place, key, value)),
            Some(why) => self.lost(place, subject, &format!("not carried over to {key}: {why}")),
        }
        self.has(key)
    }

    /// Whether an option is set.
    pub(super) fn has(&self, key: &str) -> bool {
        self.options.iter().any(|(_, known, _)| *known == key)
    }

    /// Adds a rule.
    pub(super) fn rule(&mut self, place: Place, rule: Rule) {
        self.rules.push((place, rule));
    }

    /// Says that something is different.
    pub(super) fn note(&mut self, place: Place, subject: &str, text: &str) {
        self.find(place, Weight::Note, subject, text);
    }

    /// Says that something is missing.
    pub(super) fn lost(&mut self, place: Place, subject: &str, text: &str) {
        self.find(place, Weight::Lost, subject, text);
    }

    fn find(&mut self, place: Place, weight: Weight, subject: &str, text: &str) {
        let line = format!("{subject}: {text}").chars().flat_map(spelt).collect();
        let finding = Finding { place, weight, line };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// What is to be said, in the order of the output.
    pub(super) fn findings(&self) -> Vec<&Finding> {
        let mut findings: Vec<_> = self.findings.iter().collect();
        findings.sort_by_key(|finding| finding.place);
        findings
    }

    /// The configuration file.
    pub(super) fn render(&self, names: &[String]) -> String {
        let mut text = HEAD.to_owned();
        for place in [
            Place::Listening,
            Place::Access,
            Place::Tokens,
            Place::Hooks,
            Place::Limits,
            Place::Around,
        ] {
            self.render_options(place, &mut text);
        }
        let mut rules: Vec<_> = self.rules.iter().collect();
        rules.sort_by_key(|(place, _)| *place);
        let mut places: Vec<_> = rules.iter().map(|(place, _)| *place).collect();
        places.extend(
            self.findings
                .iter()
                .map(|finding| finding.place)
                .filter(|place| *place >= Place::Private),
        );
        places.sort_unstable();
        places.dedup();
        for place in places {
            let _ = write!(text, "\n# {}\n", heading(place, names));
            self.render_findings(place, &mut text);
            for (index, (_, rule)) in rules.iter().filter(|(other, _)| *other == place).enumerate() {
                text.push_str(if index == 0 {
                    "[[topic_rule]]\n"
                } else {
                    "\n[[topic_rule]]\n"
                });
                for (key, value) in rule {
                    let _ = writeln!(text, "{key} = {value}");
                }
            }
        }
        text
    }

    fn render_options(&self, place: Place, text: &mut String) {
        let mut options = self
            .options
            .iter()
            .filter(|(other, ..)| *other == place)
            .peekable();
        let is_spoken_of = self.findings.iter().any(|finding| finding.place == place);
        if options.peek().is_none() && !is_spoken_of {
            return;
        }
        let _ = write!(text, "\n# {}\n", heading(place, &[]));
        self.render_findings(place, text);
        for (_, key, value) in options {
            let _ = writeln!(text, "{key} = {value}");
        }
    }

    fn render_findings(&self, place: Place, text: &mut String) {
        for finding in self.findings.iter().filter(|finding| finding.place == place) {
            comment(&finding.to_string(), text);
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.weight {
            Weight::Note => "note",
            Weight::Lost => "lost",
        };
        write!(f, "{kind}: {}", self.line)
    }
}

/// Lines of a comment, broken at blanks.
fn comment(words: &str, text: &mut String) {
    let mut line = String::from("#");
    for word in words.split(' ') {
        if line.chars().count() + word.chars().count() >= LINE_CHARS_MAX && line != "#" {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#  ");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

/// What stands above a place.
fn heading(place: Place, names: &[String]) -> String {
    match place {
        Place::Listening => "Listening".to_owned(),
        Place::Access => "Who connects, and who calls the API".to_owned(),
        Place::Tokens => "Tokens".to_owned(),
        Place::Hooks => "Hooks, which were proxies".to_owned(),
        Place::Limits => "Limits and times".to_owned(),
        Place::Around => "Around it".to_owned(),
        Place::Private => "Private channels".to_owned(),
        Place::Namespace(index) => {
            format!(
                "Namespace {}",
                names.get(index).map_or_else(String::new, |name| plain(name))
            )
        }
        Place::WithoutNamespace => "Channels of no namespace that there is, and without one".to_owned(),
    }
}

/// What the output begins with.
const HEAD: &str = "\
# Made by `fanfare import centrifugo`. What has no equivalent is said where it would stand:
#   note: something is different that harms neither safety nor delivery.
#   lost: who may do what, or who gets what, is different; it is denied until you decide.
# docs/importing-centrifugo.md has the rules. Check changes with `fanfare check FILE`.
";

/// Where a line of a comment ends.
const LINE_CHARS_MAX: usize = 110;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_said_stays_a_comment() {
        let mut draft = Draft::default();
        draft.lost(Place::Access, "a\nopen = true\r\u{2028}b", "x\u{85}y");
        draft.note(Place::Namespace(0), "n", "\n[[topic_rule]]");
        let text = draft.render(&["a\nopen = true".to_owned()]);
        let open: Vec<_> = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        assert_eq!(open, [""; 0], "{text}");
        assert!(text.parse::<toml::Table>().unwrap().is_empty());
    }

    #[test]
    fn what_an_option_does_not_take_is_lost_with_its_rule() {
        let mut draft = Draft::default();
        assert!(draft.set(Place::Limits, "subscriptions_max", 5, "client.channel_limit"));
        assert!(!draft.set(Place::Limits, "connections_max", -5, "client.connection_limit"));
        assert_eq!(draft.findings()[0].weight, Weight::Lost);
        let line = draft.findings()[0].to_string();
        assert!(
            line.starts_with(
                "lost: client.connection_limit: not carried over to connections_max: it must be"
            ),
            "{line}"
        );
    }

    #[test]
    fn long_comments_are_broken() {
        let mut text = String::new();
        comment(&"word ".repeat(100), &mut text);
        assert!(text.lines().count() > 3);
        assert!(
            text.lines()
                .all(|line| line.starts_with('#') && line.len() <= LINE_CHARS_MAX)
        );
    }
}
