//! Every key of Centrifugo's documentation that is known, by its path in version 6, and what becomes of it.
//!
//! What is written here is all that is known of most of them; those that are [`Fate::Judged`] are looked at together with
//! others, elsewhere in this room.

mod channels;
mod clients;
mod proxies;
mod server;

/// What becomes of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// These options have it.
    Carried(&'static str),
    /// It depends on the value and on others; in words for the documentation.
    Judged(&'static str),
    /// Nothing is missing without it, for this reason.
    Needless(&'static str),
    /// There is no equivalent, which harms neither safety nor delivery: what is different.
    Note(&'static str),
    /// There is no equivalent, and who may do what, or gets what, is different: what to do.
    Lost(&'static str),
}

/// Keys of the same fate.
pub(super) struct Group {
    /// The paths that they stand under; one may be empty.
    pub(super) under: &'static [&'static str],
    /// The keys, each with its default if it is neither empty, nor 0, nor false: `port=8000`. `a.**` is everything under `a`.
    pub(super) keys: &'static [&'static str],
    /// Their fate.
    pub(super) fate: Fate,
}

/// A key that is known.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// The path it stands under.
    under: &'static str,
    /// The rest of its path.
    key: &'static str,
    /// The value that says nothing.
    pub(super) default: &'static str,
    /// Its fate.
    pub(super) fate: Fate,
}

impl Known {
    /// Its path, `channel.namespaces[].presence`.
    pub(super) fn path(&self) -> String {
        if self.under.is_empty() {
            self.key.to_owned()
        } else {
            format!("{}.{}", self.under, self.key)
        }
    }

    /// Whether it is the key at a path without indices, or everything under it is.
    fn is(&self, path: &str) -> bool {
        let rest = match self.under {
            "" => Some(path),
            under => path.strip_prefix(under).and_then(|rest| rest.strip_prefix('.')),
        };
        rest.is_some_and(|rest| match self.key.strip_suffix("**") {
            Some(above) => rest.starts_with(above),
            None => rest == self.key,
        })
    }
}

/// The groups of all keys. The first that has the key at a path is meant.
pub(super) fn groups() -> impl Iterator<Item = &'static Group> {
    let parts = [server::GROUPS, clients::GROUPS, proxies::GROUPS, channels::GROUPS];
    parts.into_iter().flatten()
}

/// Every key that is known.
pub(super) fn all() -> impl Iterator<Item = Known> {
    groups().flat_map(|group| {
        group.under.iter().flat_map(|under| {
            group.keys.iter().map(|key| {
                let (key, default) = key.split_once('=').unwrap_or((key, ""));
                Known {
                    under,
                    key,
                    default,
                    fate: group.fate,
                }
            })
        })
    })
}

/// The key at a path without indices.
pub(super) fn find(path: &str) -> Option<Known> {
    all().find(|known| known.is(path))
}

/// Whether keys that are known stand under a path.
pub(super) fn is_parent(path: &str) -> bool {
    all().any(|known| {
        let rest = known.path().strip_prefix(path).map(str::to_owned);
        rest.is_some_and(|rest| rest.starts_with('.') || rest.starts_with("[]"))
    })
}

/// Paid editions have it, this server has not.
const PAID: Fate = Fate::Lost(
    "it is of Centrifugo PRO, and there is nothing like it here; do without, or do it in the backend",
);

const MAPS: Fate =
    Fate::Lost("there are no map and no shared-poll subscriptions here; what needs them is closed");

const WITH_FEATURE: Fate = Fate::Needless("it is a part of what is reported");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_path() {
        for path in [
            "http_server.port",
            "channel.namespaces[].presence",
            "channel.namespaces[].map.key_ttl",
            "consumers[].kafka.tls.enabled",
            "pid_file",
            "client.proxy.connect.http.static_headers.x-api-key",
            "channel.proxy.sub_refresh.endpoint",
        ] {
            assert!(find(path).is_some(), "{path}");
        }
        for path in [
            "port",
            "channel.presence",
            "http_server",
            "channel.namespaces[].map",
            "kafka",
        ] {
            assert!(find(path).is_none(), "{path}");
        }
        assert!(is_parent("channel.namespaces") && is_parent("client.token") && !is_parent("client.tok"));
    }

    #[test]
    fn no_key_is_there_twice() {
        let mut paths: Vec<_> = all().map(|known| known.path()).collect();
        paths.sort_unstable();
        assert_eq!(paths.windows(2).find(|pair| pair[0] == pair[1]), None);
    }

    #[test]
    fn what_is_carried_over_becomes_an_option() {
        let in_rules = [
            "history_frames",
            "history_age",
            "keep_presence",
            "tell_presence",
            "deltas",
        ];
        for known in all() {
            if let Fate::Carried(option) = known.fate {
                let is_option = crate::options::OPTIONS.iter().any(|spec| spec.key == option);
                assert!(
                    is_option || in_rules.contains(&option),
                    "{}: {option}",
                    known.path()
                );
            }
        }
    }
}
