//! Tokens that are refused though they are right: revoked ones, until they would have ended.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fanfare_protocol::{Timestamp, UserName};

/// The table of what was revoked. It is in memory: the [`Ledger`](super::ledger::Ledger) has it on the disk, where there
/// is one, and other nodes do not know it.
#[derive(Debug)]
pub(super) struct Revoked {
    max: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    rows: Rows,
    /// How often anything was put in.
    revocations: u64,
}

/// What is revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    /// When each token has ended by itself.
    pub(super) tokens: HashMap<Box<str>, Timestamp>,
    /// When each user's tokens were revoked, and when the last of them has ended.
    pub(super) users: HashMap<UserName, (Timestamp, Timestamp)>,
}

/// The table of revoked tokens is full: nothing was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{max} tokens and users are revoked, which is the limit; the first of them end by themselves later")]
pub struct RevokedFull {
    /// The limit.
    pub max: usize,
}

impl Revoked {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            table: Mutex::default(),
        }
    }

    /// Refuses a token from now on, until it ends by itself.
    pub(super) fn revoke_token(&self, id: &str, until: Timestamp, now: Timestamp) -> Result<(), RevokedFull> {
        let mut table = self.table();
        table.revocations += 1;
        if let Some(known) = table.rows.tokens.get_mut(id) {
            *known = until.max(*known);
            return Ok(());
        }
        self.make_room(&mut table, now)?;
        table.rows.tokens.insert(Box::from(id), until);
        Ok(())
    }

    /// Refuses a user's tokens that were made before now; the last of them has ended `until`.
    pub(super) fn revoke_user(
        &self,
        user: &UserName,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), RevokedFull> {
        let mut table = self.table();
        table.revocations += 1;
        if let Some(known) = table.rows.users.get_mut(user) {
            *known = (now, until);
            return Ok(());
        }
        self.make_room(&mut table, now)?;
        table.rows.users.insert(user.clone(), (now, until));
        Ok(())
    }

    /// Whether a token was revoked. One that does not say when it was made is as old as can be; times in tokens are whole
    /// seconds, so one of the second in which its user was revoked counts as older too.
    pub(super) fn is_revoked(
        &self,
        id: Option<&str>,
        user: Option<&UserName>,
        issued_at: Option<u64>,
    ) -> bool {
        let rows = &self.table().rows;
        let is_old = |(since, _): &(Timestamp, Timestamp)| issued_at.unwrap_or(0) <= since.0;
        id.is_some_and(|id| rows.tokens.contains_key(id))
            || user.and_then(|user| rows.users.get(user)).is_some_and(is_old)
    }

    /// How often anything was revoked: where it has changed, who was let in meanwhile may have shown what was revoked.
    pub(super) fn revocations(&self) -> u64 {
        self.table().revocations
    }

    /// How many tokens and users are in the table.
    pub(super) fn len(&self) -> usize {
        self.table().rows.len()
    }

    /// Puts in what was revoked before a restart, without what has ended since. It was all let in once, so all of it is
    /// taken, even where the table may have less now.
    pub(super) fn restore(&self, rows: Rows, now: Timestamp) {
        let mut table = self.table();
        table.revocations += 1;
        table.rows.merge(rows);
        table.rows.drop_ended(now);
    }

    /// What is revoked and has not ended, as `read` makes it of that, and how often anything was put in until now. No
    /// token is looked at meanwhile.
    pub(super) fn read<T>(&self, now: Timestamp, read: impl FnOnce(&Rows) -> T) -> (u64, T) {
        let mut table = self.table();
        table.rows.drop_ended(now);
        (table.revocations, read(&table.rows))
    }

    fn make_room(&self, table: &mut Table, now: Timestamp) -> Result<(), RevokedFull> {
        if table.rows.len() >= self.max {
            table.rows.drop_ended(now);
        }
        let max = self.max;
        (table.rows.len() < max).then_some(()).ok_or(RevokedFull { max })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn len(&self) -> usize {
        self.tokens.len() + self.users.len()
    }

    fn drop_ended(&mut self, now: Timestamp) {
        self.tokens.retain(|_, until| *until > now);
        self.users.retain(|_, (_, until)| *until > now);
    }

    /// Of what both have, the later one counts.
    fn merge(&mut self, other: Self) {
        for (id, until) in other.tokens {
            let known = self.tokens.entry(id).or_insert(until);
            *known = until.max(*known);
        }
        for (user, times) in other.users {
            let known = self.users.entry(user).or_insert(times);
            *known = times.max(*known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp(second * 1_000)
    }

    fn ada() -> UserName {
        UserName::parse("ada").unwrap()
    }

    #[test]
    fn a_revoked_token_is_known_by_its_id() {
        let revoked = Revoked::new(10);
        revoked.revoke_token("one", at(100), at(1)).unwrap();
        assert!(revoked.is_revoked(Some("one"), None, None));
        assert!(!revoked.is_revoked(Some("two"), Some(&ada()), None));
        assert!(!revoked.is_revoked(None, None, None));
    }

    #[test]
    fn a_users_older_tokens_are_revoked_and_newer_ones_are_not() {
        let revoked = Revoked::new(10);
        let (half_past, until) = (Timestamp(10_500), at(100));
        revoked.revoke_user(&ada(), until, half_past).unwrap();
        for (issued_at, is_revoked) in [(None, true), (Some(9), true), (Some(10), true), (Some(11), false)] {
            let issued_at = issued_at.map(|second: u64| second * 1_000);
            assert_eq!(
                revoked.is_revoked(None, Some(&ada()), issued_at),
                is_revoked,
                "{issued_at:?}"
            );
        }
    }

    #[test]
    fn a_full_table_says_so_until_something_in_it_has_ended() {
        let revoked = Revoked::new(2);
        revoked.revoke_token("one", at(5), at(1)).unwrap();
        revoked.revoke_user(&ada(), at(9), at(1)).unwrap();
        assert_eq!(
            revoked.revoke_token("two", at(9), at(4)),
            Err(RevokedFull { max: 2 })
        );
        revoked.revoke_token("one", at(6), at(4)).unwrap();
        revoked.revoke_token("two", at(9), at(6)).unwrap();
        assert!(revoked.is_revoked(Some("two"), Some(&ada()), None));
        assert_eq!(revoked.len(), 2);
    }

    #[test]
    fn what_is_restored_stands_beside_what_is_there_and_takes_nothing_back() {
        let revoked = Revoked::new(10);
        revoked.revoke_token("one", at(100), at(1)).unwrap();
        revoked.revoke_user(&ada(), at(100), at(20)).unwrap();
        let rows = Rows {
            tokens: [
                ("one".into(), at(50)),
                ("two".into(), at(50)),
                ("ended".into(), at(30)),
            ]
            .into(),
            users: [(ada(), (at(10), at(50)))].into(),
        };
        revoked.restore(rows, at(30));
        let expected = Rows {
            tokens: [("one".into(), at(100)), ("two".into(), at(50))].into(),
            users: [(ada(), (at(20), at(100)))].into(),
        };
        assert_eq!(revoked.read(at(31), Clone::clone).1, expected);
    }
}
