//! What makes the name unguessable by which a client calls its session.

use std::fmt;
use std::sync::Arc;

/// What the name of a session has in it that nobody else knows of its connection.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey {
    /// 128 random bits. Whoever knows them speaks for the connection.
    pub secret: u128,
    /// Where the session is: the process, for those who speak beside their stream; `None` for those who do not speak.
    pub node: Option<Arc<str>>,
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKey")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_for_logs() {
        let key = SessionKey {
            secret: 171,
            node: None,
        };
        assert_eq!(format!("{key:?}"), "SessionKey { node: None, .. }");
    }
}
