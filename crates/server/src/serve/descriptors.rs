//! The limit on open files, which is the limit on connections.

use std::fmt;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::options::ServeOptions;

/// How many files the process may open, raised as far as the system lets it.
pub(crate) struct Descriptors {
    limit: Option<u64>,
}

/// Descriptors that are not connections: the listener, polls, wakers, the log, requests to the API.
const RESERVED: u64 = 64;

/// Descriptors of each shard.
const PER_SHARD: u64 = 4;

impl Descriptors {
    /// Raises the soft limit to the hard one. Where that fails, the soft limit stays.
    pub(crate) fn raise() -> Self {
        let mut limit = getrlimit(Resource::Nofile);
        let raised = rustix::process::Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        if limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_ok() {
            limit = getrlimit(Resource::Nofile);
        }
        Self { limit: limit.current }
    }

    /// How many connections to allow: what the options say, at most what the descriptors allow.
    pub(super) fn connections(&self, options: &ServeOptions) -> usize {
        let used = RESERVED + PER_SHARD * options.shards as u64;
        let room = self
            .limit
            .map_or(usize::MAX, |limit| limit.saturating_sub(used).max(1) as usize);
        options.connections_max.map_or(room, |max| max.min(room))
    }
}

impl fmt::Display for Descriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit {
            Some(limit) => write!(f, "{limit}"),
            None => f.write_str("unlimited"),
        }
    }
}
