//! What an operator can set about `fanfare serve`, and where the values come from.
//!
//! In come the command line's flags, the environment and a TOML file, all as text; out goes one [`ServeOptions`] with
//! every value checked, or every problem at once. [`table`] is the only place that knows an option: the flags, the
//! variables, the file's keys, `--print-config` and the table in `docs/configuration.md` are made from it. Nothing here
//! acts on a value.

mod api_key;
mod file;
mod fsync;
mod kind;
mod print;
mod resolve;
mod schema;
mod secret;
mod slow_rule;
mod suggest;
mod table;
mod token_key;
mod topic_rule;
mod value;

use fanfare::Retention;

pub(crate) use api_key::{ApiKey, hash, hash_text, scopes};
pub(crate) use file::{ConfigFile, refusal, unknown_key};
pub(crate) use kind::LogFormat;
pub(crate) use print::print_config;
pub(crate) use resolve::{Inputs, resolve, unknown_variables};
pub(crate) use schema::schema;
pub(crate) use secret::Secret;
pub(crate) use suggest::nearest;
pub(crate) use table::{OPTIONS, OptionSpec, ServeOptions};
pub(crate) use token_key::signing_key;

impl ServeOptions {
    /// How much is kept of every topic of which no rule says it.
    pub(crate) fn retention(&self) -> Retention {
        let least = if self.dev { DEVELOPMENT_HISTORY } else { 0 };
        Retention {
            publications_max: self.history_frames.max(least),
            bytes_max: self.history_bytes_max,
            age_max_ms: self.history_age.as_millis() as u64,
        }
    }
}

/// Publications that development mode keeps of each topic, so that a newcomer to Fanfare sees history work.
const DEVELOPMENT_HISTORY: usize = 100;

#[cfg(test)]
mod docs;
