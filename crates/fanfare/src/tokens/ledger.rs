//! What was revoked, on the disk: it is there before a revocation is answered, and is known again after a restart.
//!
//! The table is written as a whole. Whoever has revoked something waits for his turn to write, and finds then that
//! somebody else has written it already: however many revoke at once, two writes are enough for all.

use std::io;
use std::sync::Arc;

use fanfare_log::{State, StateError};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::Tokens;
use super::stored::{StoredError, decode, encode};
use crate::clock::wall;

/// The table in the data directory.
pub(crate) struct Ledger {
    tokens: Tokens,
    state: State,
    /// Writes are done by its threads for what blocks.
    runtime: Handle,
    /// How often anything had been revoked when the table was last written. Who has locked it is the one that writes.
    written: Arc<Mutex<u64>>,
}

/// Why it is not known what was revoked before a restart.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    /// The value is damaged or cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The value is no table.
    #[error(transparent)]
    Stored(#[from] StoredError),
}

impl Ledger {
    /// Lets `tokens` know again what was revoked before the restart, but for what has ended since.
    ///
    /// # Errors
    /// It cannot be known.
    pub(crate) fn open(tokens: Tokens, state: State, runtime: Handle) -> Result<Self, LedgerError> {
        if let Some(value) = state.value(NAME)? {
            tokens.inner.revoked.restore(decode(&value)?, wall());
            tracing::info!(revoked = tokens.revoked(), "revoked tokens are known again");
        }
        Ok(Self {
            tokens,
            state,
            runtime,
            written: Arc::default(),
        })
    }

    /// Stores what was revoked until now. Whoever gives up waiting leaves a write that has begun to its end.
    ///
    /// # Errors
    /// It could not be written; what was stored before is still there.
    pub(crate) async fn write(&self) -> Result<(), StateError> {
        let wanted = self.tokens.revocations();
        let mut written = Arc::clone(&self.written).lock_owned().await;
        if *written >= wanted {
            return Ok(());
        }
        let (tokens, state) = (self.tokens.clone(), self.state.clone());
        let write = move || {
            let (revocations, value) = tokens.inner.revoked.read(wall(), encode);
            state.put(NAME, &value)?;
            *written = revocations;
            Ok(())
        };
        let is_done = self.runtime.spawn_blocking(write).await;
        is_done.unwrap_or_else(|error| {
            Err(StateError::Io {
                file: NAME.to_owned(),
                error: io::Error::other(error),
            })
        })
    }
}

/// The value's name.
const NAME: &str = "revoked-tokens";

#[cfg(test)]
mod tests {
    use fanfare_log::{Fault, Log, Memory, Options};
    use fanfare_protocol::{Timestamp, UserName};

    use super::super::{Algorithm, IssuerOptions, TokenKey, TokensOptions};
    use super::*;

    fn tokens() -> Tokens {
        let key = TokenKey::new(None, Algorithm::Hs256, &[7; 32]).unwrap();
        let issuer = IssuerOptions {
            keys: vec![key],
            ..IssuerOptions::default()
        };
        Tokens::new(TokensOptions {
            issuers: vec![issuer],
            ..TokensOptions::default()
        })
        .unwrap()
    }

    fn state(disk: &Memory) -> State {
        let (log, _) = Log::open(Arc::new(disk.clone()), Options::default()).unwrap();
        log.state()
    }

    /// Opens it with tokens that know nothing.
    fn open(disk: &Memory) -> Result<Ledger, LedgerError> {
        Ledger::open(tokens(), state(disk), Handle::current())
    }

    fn is_revoked(ledger: &Ledger, id: &str) -> bool {
        ledger.tokens.inner.revoked.is_revoked(Some(id), None, None)
    }

    #[tokio::test]
    async fn what_was_revoked_is_known_after_a_loss_of_power() {
        let disk = Memory::new(0);
        let ledger = open(&disk).unwrap();
        let ada = UserName::parse("ada").unwrap();
        ledger.tokens.revoke_token("one", None).unwrap();
        ledger.tokens.revoke_user(&ada).unwrap();
        ledger.write().await.unwrap();
        ledger.tokens.revoke_token("not written", None).unwrap();
        disk.lose_power();
        let again = open(&disk).unwrap();
        assert!(is_revoked(&again, "one") && !is_revoked(&again, "not written"));
        let revoked = &again.tokens.inner.revoked;
        assert!(revoked.is_revoked(None, Some(&ada), None));
        let later = wall().0 + 1_000;
        assert!(!revoked.is_revoked(None, Some(&ada), Some(later)));
        // What is revoked next is written beside what was there before.
        again.tokens.revoke_token("two", None).unwrap();
        again.write().await.unwrap();
        let last = open(&disk).unwrap();
        assert!(is_revoked(&last, "one") && is_revoked(&last, "two"));
    }

    #[tokio::test]
    async fn what_has_ended_is_neither_written_nor_known_again() {
        let disk = Memory::new(0);
        let ledger = open(&disk).unwrap();
        ledger.tokens.revoke_token("holds", None).unwrap();
        let revoked = &ledger.tokens.inner.revoked;
        revoked.revoke_token("ended", Timestamp(1), Timestamp(0)).unwrap();
        ledger.write().await.unwrap();
        let value = state(&disk).value(NAME).unwrap().unwrap();
        assert_eq!(decode(&value).unwrap().tokens.len(), 1);
        let mut rows = decode(&value).unwrap();
        rows.tokens.insert("ended".into(), Timestamp(1));
        state(&disk).put(NAME, &encode(&rows)).unwrap();
        let again = open(&disk).unwrap();
        assert!(is_revoked(&again, "holds") && !is_revoked(&again, "ended"));
    }

    #[tokio::test]
    async fn a_damaged_table_is_not_taken_for_none() {
        let disk = Memory::new(0);
        let ledger = open(&disk).unwrap();
        ledger.tokens.revoke_token("one", None).unwrap();
        ledger.write().await.unwrap();
        let file = "revoked-tokens.state";
        let mut content = disk.content(file).unwrap();
        let last = content.len() - 1;
        content[last] ^= 1;
        disk.set_content(file, content);
        let error = open(&disk).err().unwrap().to_string();
        assert!(
            error.contains(file) && error.contains("is damaged: put back a copy, or remove it"),
            "{error}"
        );
        state(&disk).put(NAME, b"").unwrap();
        let error = open(&disk).err().unwrap().to_string();
        assert!(error.contains("not as they are written"), "{error}");
    }

    #[tokio::test]
    async fn what_cannot_be_written_holds_and_is_written_the_next_time() {
        let disk = Memory::new(0);
        let ledger = open(&disk).unwrap();
        ledger.tokens.revoke_token("one", None).unwrap();
        disk.fail_after(0, Fault::Error);
        assert!(matches!(ledger.write().await, Err(StateError::Io { .. })));
        assert!(is_revoked(&ledger, "one"));
        assert!(!is_revoked(&open(&disk).unwrap(), "one"));
        ledger.write().await.unwrap();
        assert!(is_revoked(&open(&disk).unwrap(), "one"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_revocations_at_once_cost_few_writes_and_none_is_lost() {
        let disk = Memory::new(0);
        let ledger = Arc::new(open(&disk).unwrap());
        // Whoever writes now holds the others up until all of them wait.
        let writing = Arc::clone(&ledger.written).lock_owned().await;
        let before = disk.operations();
        let revoke = |number: usize| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                ledger.tokens.revoke_token(&number.to_string(), None).unwrap();
                ledger.write().await
            })
        };
        let all: Vec<_> = (0..100).map(revoke).collect();
        while ledger.tokens.revocations() < 100 {
            tokio::task::yield_now().await;
        }
        drop(writing);
        for one in all {
            one.await.unwrap().unwrap();
        }
        let one_write = 5;
        assert_eq!(disk.operations() - before, one_write);
        assert_eq!(open(&disk).unwrap().tokens.revoked(), 100);
    }
}
