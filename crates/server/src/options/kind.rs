//! The kinds of values options have: how each is read from text, shown as text, and what its rule is called.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use fanfare::tokens::JwksUrl;
use fanfare::{Network, Origin, TlsVersion, UserTopic};

use super::api_key::ApiKey;
use super::fsync::FsyncOption;
use super::secret::Secret;
use super::slow_rule::SlowRuleOption;
use super::table::ServeOptions;
use super::token_key::TokenKeyOption;
use super::topic_rule::TopicRuleOption;
use super::value;
use crate::hooks::{HookFormat, HookHeader, HookUrl};

/// Where in [`ServeOptions`] a value is stored.
type Place<T> = fn(&mut ServeOptions) -> &mut T;

/// What kind of value an option has, its bounds, and where it is stored.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// An IP address and a port.
    Address { at: Place<SocketAddr> },
    /// A whole number.
    Count {
        at: Place<usize>,
        min: usize,
        max: usize,
    },
    /// A whole number that may be left to the program.
    MaybeCount {
        at: Place<Option<usize>>,
        min: usize,
        max: usize,
    },
    /// A number of bytes, with or without a unit.
    Size {
        at: Place<usize>,
        min: usize,
        max: usize,
    },
    /// A number of bytes that may be left to the system.
    MaybeSize {
        at: Place<Option<usize>>,
        min: usize,
        max: usize,
    },
    /// A length of time, always with its unit.
    Time {
        at: Place<Duration>,
        min: Duration,
        max: Duration,
    },
    /// On or off.
    Switch { at: Place<bool> },
    /// Any number of web origins.
    Origins { at: Place<Vec<Origin>> },
    /// Any number of rules for slow clients.
    SlowRules { at: Place<Vec<SlowRuleOption>> },
    /// Any number of rules of topics.
    TopicRules { at: Place<Vec<TopicRuleOption>> },
    /// Any number of networks.
    Networks { at: Place<Vec<Network>> },
    /// Any number of keys of the HTTP API, which are never shown.
    ApiKeys { at: Place<Vec<ApiKey>> },
    /// Any number of keys that verify tokens, which are never shown.
    TokenKeys { at: Place<Vec<TokenKeyOption>> },
    /// Where keys are fetched from, if they are.
    MaybeKeysUrl { at: Place<Option<JwksUrl>> },
    /// A text that may be left out.
    MaybeText { at: Place<Option<String>> },
    /// A topic for each user, if there is one.
    MaybeUserTopic { at: Place<Option<UserTopic>> },
    /// Any number of texts.
    Texts { at: Place<Vec<String>> },
    /// Any number of keys that are never shown.
    Secrets { at: Place<Vec<Secret>> },
    /// The URL of a hook, if there is one.
    MaybeUrl { at: Place<Option<HookUrl>> },
    /// Any number of names of headers.
    Headers { at: Place<Vec<HookHeader>> },
    /// A directory, if there is one.
    MaybeDirectory { at: Place<Option<PathBuf>> },
    /// When something is durable.
    Fsync { at: Place<FsyncOption> },
    /// Any number of files.
    Files { at: Place<Vec<PathBuf>> },
    /// A version of TLS.
    TlsVersion { at: Place<TlsVersion> },
    /// In whose words hooks are asked.
    HookFormat { at: Place<HookFormat> },
    /// The form of the log.
    Format { at: Place<LogFormat> },
    /// A filter of log lines.
    Filter { at: Place<String> },
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

impl Kind {
    /// Reads `texts` and stores what they say; a kind that holds one value takes the only text.
    ///
    /// # Errors
    /// The rule that a text breaks and the way out, to be put behind "NAME is VALUE: ".
    pub(super) fn read(&self, into: &mut ServeOptions, texts: &[String]) -> Result<(), String> {
        let one = || texts.last().map_or("", String::as_str);
        match self {
            Self::Address { at } => *at(into) = value::address(one())?,
            Self::Count { at, min, max } => *at(into) = value::count(one(), *min, *max)?,
            Self::MaybeCount { at, min, max } => *at(into) = Some(value::count(one(), *min, *max)?),
            Self::Size { at, min, max } => *at(into) = value::size(one(), *min, *max)?,
            Self::MaybeSize { at, min, max } => *at(into) = Some(value::size(one(), *min, *max)?),
            Self::Time { at, min, max } => *at(into) = value::time(one(), *min, *max)?,
            Self::Switch { at } => *at(into) = value::switch(one())?,
            Self::Origins { at } => *at(into) = all(texts)?,
            Self::SlowRules { at } => *at(into) = all(texts)?,
            Self::TopicRules { at } => *at(into) = all(texts)?,
            Self::Networks { at } => *at(into) = all(texts)?,
            Self::ApiKeys { at } => *at(into) = all(texts)?,
            Self::TokenKeys { at } => *at(into) = all(texts)?,
            Self::MaybeKeysUrl { at } => *at(into) = Some(value::keys_url(one())?),
            Self::MaybeText { at } => *at(into) = Some(value::text(one())?),
            Self::MaybeUserTopic { at } => {
                *at(into) = Some(
                    one()
                        .parse()
                        .map_err(|error: fanfare::UserTopicError| error.to_string())?,
                );
            }
            Self::Texts { at } => *at(into) = value::texts(texts)?,
            Self::Secrets { at } => *at(into) = all(texts)?,
            Self::MaybeUrl { at } => *at(into) = Some(one().parse()?),
            Self::Headers { at } => *at(into) = all(texts)?,
            Self::Files { at } => {
                *at(into) = texts
                    .iter()
                    .map(|text| value::file(text))
                    .collect::<Result<_, _>>()?;
            }
            Self::MaybeDirectory { at } => *at(into) = Some(value::directory(one())?),
            Self::Fsync { at } => *at(into) = one().parse()?,
            Self::HookFormat { at } => *at(into) = one().parse()?,
            Self::TlsVersion { at } => *at(into) = value::tls_version(one())?,
            Self::Format { at } => *at(into) = one().parse()?,
            Self::Filter { at } => *at(into) = value::filter(one())?,
        }
        Ok(())
    }

    /// The values as an operator would write them; none for what is left open, and for secrets.
    pub(super) fn texts(&self, options: &ServeOptions) -> Vec<String> {
        let mut options = options.clone();
        let from = &mut options;
        match self {
            Self::Address { at } => vec![at(from).to_string()],
            Self::Count { at, .. } => vec![at(from).to_string()],
            Self::MaybeCount { at, .. } => at(from).iter().map(ToString::to_string).collect(),
            Self::Size { at, .. } => vec![value::size_text(*at(from))],
            Self::MaybeSize { at, .. } => at(from).iter().map(|bytes| value::size_text(*bytes)).collect(),
            Self::Time { at, .. } => vec![value::time_text(*at(from))],
            Self::Switch { at } => vec![at(from).to_string()],
            Self::Origins { at } => at(from).iter().map(ToString::to_string).collect(),
            Self::SlowRules { at } => at(from).iter().map(ToString::to_string).collect(),
            Self::TopicRules { at } => at(from).iter().map(ToString::to_string).collect(),
            Self::Networks { at } => at(from).iter().map(ToString::to_string).collect(),
            Self::ApiKeys { .. } | Self::TokenKeys { .. } => Vec::new(),
            Self::MaybeKeysUrl { at } => at(from).iter().map(ToString::to_string).collect(),
            Self::MaybeText { at } => at(from).iter().cloned().collect(),
            Self::MaybeUserTopic { at } => at(from).iter().map(ToString::to_string).collect(),
            Self::Texts { at } => at(from).clone(),
            Self::Secrets { .. } => Vec::new(),
            Self::MaybeUrl { at } => at(from).iter().map(ToString::to_string).collect(),
            Self::Headers { at } => at(from).iter().map(ToString::to_string).collect(),
            Self::Files { at } => at(from).iter().map(|path| path.display().to_string()).collect(),
            Self::MaybeDirectory { at } => at(from).iter().map(|path| path.display().to_string()).collect(),
            Self::Fsync { at } => vec![at(from).to_string()],
            Self::HookFormat { at } => vec![at(from).to_string()],
            Self::TlsVersion { at } => vec![value::tls_version_text(*at(from)).to_owned()],
            Self::Format { at } => vec![at(from).text().to_owned()],
            Self::Filter { at } => vec![at(from).clone()],
        }
    }

    /// Takes the value of one option over from other options.
    pub(crate) fn copy(&self, from: &ServeOptions, into: &mut ServeOptions) {
        let from = &mut from.clone();
        match self {
            Self::Address { at } => at(into).clone_from(at(from)),
            Self::Count { at, .. } | Self::Size { at, .. } => at(into).clone_from(at(from)),
            Self::MaybeCount { at, .. } | Self::MaybeSize { at, .. } => at(into).clone_from(at(from)),
            Self::Time { at, .. } => at(into).clone_from(at(from)),
            Self::Switch { at } => at(into).clone_from(at(from)),
            Self::Origins { at } => at(into).clone_from(at(from)),
            Self::SlowRules { at } => at(into).clone_from(at(from)),
            Self::TopicRules { at } => at(into).clone_from(at(from)),
            Self::Networks { at } => at(into).clone_from(at(from)),
            Self::ApiKeys { at } => at(into).clone_from(at(from)),
            Self::TokenKeys { at } => at(into).clone_from(at(from)),
            Self::MaybeKeysUrl { at } => at(into).clone_from(at(from)),
            Self::MaybeText { at } => at(into).clone_from(at(from)),
            Self::MaybeUserTopic { at } => at(into).clone_from(at(from)),
            Self::Texts { at } => at(into).clone_from(at(from)),
            Self::Secrets { at } => at(into).clone_from(at(from)),
            Self::MaybeUrl { at } => at(into).clone_from(at(from)),
            Self::Headers { at } => at(into).clone_from(at(from)),
            Self::Files { at } => at(into).clone_from(at(from)),
            Self::MaybeDirectory { at } => at(into).clone_from(at(from)),
            Self::Fsync { at } => at(into).clone_from(at(from)),
            Self::HookFormat { at } => at(into).clone_from(at(from)),
            Self::TlsVersion { at } => at(into).clone_from(at(from)),
            Self::Format { at } => at(into).clone_from(at(from)),
            Self::Filter { at } => at(into).clone_from(at(from)),
        }
    }

    /// Whether an option has the same value in both.
    pub(crate) fn is_same(&self, one: &ServeOptions, other: &ServeOptions) -> bool {
        let mut copied = one.clone();
        self.copy(other, &mut copied);
        copied == *one
    }

    /// How many secrets are set; `None` for kinds that hold none.
    pub(super) fn secrets(&self, options: &ServeOptions) -> Option<usize> {
        match self {
            Self::ApiKeys { at } => Some(at(&mut options.clone()).len()),
            Self::TokenKeys { at } => Some(at(&mut options.clone()).len()),
            Self::Secrets { at } => Some(at(&mut options.clone()).len()),
            _ => None,
        }
    }

    /// Whether several values may be given.
    pub(crate) fn is_list(&self) -> bool {
        matches!(
            self,
            Self::Origins { .. }
                | Self::Networks { .. }
                | Self::SlowRules { .. }
                | Self::TopicRules { .. }
                | Self::ApiKeys { .. }
                | Self::TokenKeys { .. }
                | Self::Texts { .. }
                | Self::Secrets { .. }
                | Self::Headers { .. }
                | Self::Files { .. }
        )
    }

    /// Whether it is a flag that needs no value.
    pub(crate) fn is_switch(&self) -> bool {
        matches!(self, Self::Switch { .. })
    }

    /// Whether its values are tables, which the file writes without quotes.
    pub(super) fn is_of_tables(&self) -> bool {
        matches!(self, Self::TopicRules { .. })
    }

    /// Whether its values must not be shown.
    pub(super) fn is_secret(&self) -> bool {
        matches!(
            self,
            Self::ApiKeys { .. } | Self::TokenKeys { .. } | Self::Secrets { .. }
        )
    }

    /// Whether the file writes it without quotes.
    pub(super) fn is_bare_in_file(&self) -> bool {
        matches!(
            self,
            Self::Count { .. } | Self::MaybeCount { .. } | Self::Switch { .. }
        )
    }

    /// The placeholder of a value in the help.
    pub(crate) fn placeholder(&self) -> &'static str {
        match self {
            Self::Address { .. } => "ADDRESS",
            Self::Count { .. } | Self::MaybeCount { .. } => "COUNT",
            Self::Size { .. } | Self::MaybeSize { .. } => "SIZE",
            Self::Time { .. } => "DURATION",
            Self::Switch { .. } => "BOOL",
            Self::Origins { .. } => "ORIGIN",
            Self::SlowRules { .. } => "PATTERN=RULE",
            Self::TopicRules { .. } => "RULE",
            Self::Networks { .. } => "NETWORK",
            Self::ApiKeys { .. } | Self::TokenKeys { .. } => "KEY",
            Self::MaybeKeysUrl { .. } => "URL",
            Self::MaybeText { .. } | Self::Texts { .. } => "TEXT",
            Self::MaybeUserTopic { .. } => "TOPIC",
            Self::Secrets { .. } => "KEY",
            Self::MaybeUrl { .. } => "URL",
            Self::Headers { .. } => "HEADER",
            Self::Files { .. } => "FILE",
            Self::MaybeDirectory { .. } => "DIRECTORY",
            Self::Fsync { .. } => "WHEN",
            Self::HookFormat { .. } => "FORMAT",
            Self::TlsVersion { .. } => "VERSION",
            Self::Format { .. } => "FORMAT",
            Self::Filter { .. } => "FILTER",
        }
    }

    /// Which values it takes, for the documentation.
    #[cfg(test)]
    pub(super) fn rule(&self) -> String {
        match self {
            Self::Address { .. } => "IP address and port".to_owned(),
            Self::Count { min, max, .. } | Self::MaybeCount { min, max, .. } => format!("{min} to {max}"),
            Self::Size { min, max, .. } | Self::MaybeSize { min, max, .. } => {
                format!("size, {} to {}", value::size_text(*min), value::size_text(*max))
            }
            Self::Time { min, max, .. } => {
                format!(
                    "duration, {} to {}",
                    value::time_text(*min),
                    value::time_text(*max)
                )
            }
            Self::Switch { .. } => "`true` or `false`".to_owned(),
            Self::Origins { .. } => "list of `scheme://host[:port]`".to_owned(),
            Self::SlowRules { .. } => "list of `PATTERN=RULE`".to_owned(),
            Self::TopicRules { .. } => "list of tables".to_owned(),
            Self::Networks { .. } => "list of addresses and `address/bits`".to_owned(),
            Self::ApiKeys { .. } => {
                "list of keys of 16 to 256 bytes, or of `NAME SCOPE… sha256$HEX`".to_owned()
            }
            Self::TokenKeys { .. } => "list of `[kid=ID:]ALGORITHM:KEY`".to_owned(),
            Self::MaybeKeysUrl { .. } => "`https` URL".to_owned(),
            Self::MaybeText { .. } => "1 to 255 bytes".to_owned(),
            Self::MaybeUserTopic { .. } => "topic with one `{user}`".to_owned(),
            Self::Texts { .. } => "list of 1 to 255 bytes each".to_owned(),
            Self::Secrets { .. } => "list of keys of 16 to 256 bytes".to_owned(),
            Self::MaybeUrl { .. } => "`http` or `https` URL".to_owned(),
            Self::Headers { .. } => "list of names of headers".to_owned(),
            Self::Files { .. } => "list of files".to_owned(),
            Self::MaybeDirectory { .. } => "directory".to_owned(),
            Self::Fsync { .. } => "`always`, `never`, or `interval:DURATION` of 1ms to 1h".to_owned(),
            Self::HookFormat { .. } => "`fanfare` or `centrifugo`".to_owned(),
            Self::TlsVersion { .. } => "`1.2` or `1.3`".to_owned(),
            Self::Format { .. } => "`text` or `json`".to_owned(),
            Self::Filter { .. } => "filter".to_owned(),
        }
    }
}

impl LogFormat {
    /// The name an operator writes.
    fn text(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("it must be one of two forms; write `text` or `json`".to_owned()),
        }
    }
}

/// Every text read as a `T`, or the first refusal.
fn all<T>(texts: &[String]) -> Result<Vec<T>, String>
where
    T: std::str::FromStr<Err: ToString>,
{
    let read = |text: &String| text.parse().map_err(|refusal: T::Err| refusal.to_string());
    texts.iter().map(read).collect()
}
