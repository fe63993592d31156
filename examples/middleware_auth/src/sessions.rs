//! Who is logged in: sessions, by the secret that only the browser's cookie and this table know.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fanfare::{Identity, Timestamp, UserName};

/// How long a session lasts.
pub const SESSION_SECONDS: u64 = 8 * 60 * 60;

/// The sessions; clones share them.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    by_secret: HashMap<String, Arc<Identity>>,
    opened: u64,
}

impl Sessions {
    /// Opens a session; its secret.
    pub fn open(&self, user: UserName) -> Result<String, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        let secret = format!("{:032x}", u128::from_ne_bytes(bytes));
        let (mut table, now) = (self.table(), now());
        table
            .by_secret
            .retain(|_, identity| identity.expires_at > Some(now));
        table.opened += 1;
        let identity = Identity {
            // By this its connections are found at the end. The secret would do, but names get around.
            token_id: Some(format!("session-{}", table.opened).into()),
            // The hub closes its connections then.
            expires_at: Some(Timestamp(now.0 + SESSION_SECONDS * 1_000)),
            ..Identity::of_user(user)
        };
        table.by_secret.insert(secret.clone(), identity.into());
        Ok(secret)
    }

    /// Whose session it is, if it is one.
    pub fn find(&self, secret: &str) -> Option<Arc<Identity>> {
        let identity = self.table().by_secret.get(secret).cloned();
        identity.filter(|identity| identity.expires_at > Some(now()))
    }

    /// Ends a session.
    pub fn close(&self, ended: &Identity) {
        let mut table = self.table();
        table
            .by_secret
            .retain(|_, identity| identity.token_id != ended.token_id);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis() as u64)
}
