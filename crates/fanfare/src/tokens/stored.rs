//! The table of revoked tokens as it stands in the data directory. `docs/storage.md` describes it byte by byte.
//!
//! ```text
//! version u8 = 1 │ for each row: kind u8 │ length u8 │ name │ until u64 │ of a user: since u64
//! ```

use bytes::Buf;
use fanfare_protocol::{Timestamp, UserName};

use super::revoked::Rows;

/// The version of the form.
const VERSION: u8 = 1;

/// A token, by its id.
const TOKEN: u8 = 0;
/// A user, by its name.
const USER: u8 = 1;

/// Why bytes are no table of revoked tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoredError {
    /// Another form than this program knows: a newer one wrote it.
    #[error(
        "the revoked tokens in the data directory have the form {0}, this program knows {VERSION}, run the one that wrote \
         them"
    )]
    Version(u8),
    /// It ends too early or has something that it cannot have.
    #[error(
        "the revoked tokens in the data directory are not as they are written: put back a copy of revoked-tokens.state, or \
         remove it to accept them again"
    )]
    Malformed,
}

/// Costs a copy of all names.
pub(super) fn encode(rows: &Rows) -> Vec<u8> {
    let mut value = vec![VERSION];
    for (id, until) in &rows.tokens {
        put(TOKEN, id, *until, &mut value);
    }
    for (user, (since, until)) in &rows.users {
        put(USER, user.as_str(), *until, &mut value);
        value.extend_from_slice(&since.0.to_le_bytes());
    }
    value
}

/// Ids and names have at most 255 bytes.
fn put(kind: u8, name: &str, until: Timestamp, value: &mut Vec<u8>) {
    value.extend_from_slice(&[kind, name.len() as u8]);
    value.extend_from_slice(name.as_bytes());
    value.extend_from_slice(&until.0.to_le_bytes());
}

/// The table that [`encode`] wrote.
///
/// # Errors
/// It is none.
pub(super) fn decode(mut value: &[u8]) -> Result<Rows, StoredError> {
    let value = &mut value;
    let version = take_u8(value)?;
    if version != VERSION {
        return Err(StoredError::Version(version));
    }
    let mut rows = Rows::default();
    while !value.is_empty() {
        let kind = take_u8(value)?;
        let name = take_name(value)?;
        let until = take_time(value)?;
        match kind {
            TOKEN => {
                rows.tokens.insert(Box::from(name), until);
            }
            USER => {
                let user = UserName::parse(name).map_err(|_| StoredError::Malformed)?;
                rows.users.insert(user, (take_time(value)?, until));
            }
            _ => return Err(StoredError::Malformed),
        }
    }
    Ok(rows)
}

fn take_u8(value: &mut &[u8]) -> Result<u8, StoredError> {
    value.try_get_u8().map_err(|_| StoredError::Malformed)
}

fn take_time(value: &mut &[u8]) -> Result<Timestamp, StoredError> {
    let time = value.try_get_u64_le().map_err(|_| StoredError::Malformed)?;
    Ok(Timestamp(time))
}

fn take_name<'v>(value: &mut &'v [u8]) -> Result<&'v str, StoredError> {
    let length = take_u8(value)?;
    let (name, rest) = value
        .split_at_checked(length.into())
        .ok_or(StoredError::Malformed)?;
    *value = rest;
    std::str::from_utf8(name).map_err(|_| StoredError::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::TokenLimits;
    use super::super::claims::ID_BYTES_MAX;
    use super::*;
    use crate::broker::STATE_BYTES_MAX;

    fn ada() -> UserName {
        UserName::parse("ada").unwrap()
    }

    fn rows() -> Rows {
        Rows {
            tokens: [("5f0c".into(), Timestamp(0x19b_76da_a800))].into(),
            users: [(ada(), (Timestamp(7), Timestamp(9)))].into(),
        }
    }

    /// The example of `docs/storage.md`.
    #[test]
    fn the_table_has_the_form_that_is_documented() {
        let expected = concat!(
            "01",
            "000435663063",
            "00a8da769b010000",
            "0103616461",
            "0900000000000000",
            "0700000000000000",
        );
        let bytes: Vec<u8> = (0..expected.len() / 2)
            .map(|at| u8::from_str_radix(&expected[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        assert_eq!(encode(&rows()), bytes);
        let page = include_str!("../../../../docs/storage.md").replace(char::is_whitespace, "");
        assert!(page.contains(expected), "docs/storage.md has the example");
    }

    #[test]
    fn what_is_cut_or_of_another_form_is_refused() {
        let value = encode(&rows());
        // Without its last row, or without both, it is a table too.
        let tables = [1, 15];
        for length in (0..value.len()).filter(|length| !tables.contains(length)) {
            assert_eq!(decode(&value[..length]), Err(StoredError::Malformed), "{length}");
        }
        for (at, byte, error) in [
            (0, 2, StoredError::Version(2)),
            (1, 2, StoredError::Malformed),
            (3, 0xff, StoredError::Malformed),
        ] {
            let mut value = value.clone();
            value[at] = byte;
            assert_eq!(decode(&value), Err(error));
        }
    }

    #[test]
    fn a_full_table_of_the_longest_ids_fits_into_the_data_directory() {
        let id = "i".repeat(ID_BYTES_MAX);
        let rows = Rows {
            tokens: [(id.into(), Timestamp(u64::MAX))].into(),
            ..Rows::default()
        };
        let row = encode(&rows).len() - 1;
        let full = row * TokenLimits::default().revoked_max.max(250_000);
        assert!(full < STATE_BYTES_MAX, "{full}");
    }

    proptest! {
        #[test]
        fn a_table_is_read_as_it_was_written(
            tokens in proptest::collection::hash_map(".{0,60}", any::<u64>(), 0..20),
            users in proptest::collection::hash_map("[a-zä]{1,40}", any::<(u64, u64)>(), 0..20),
        ) {
            let rows = Rows {
                tokens: tokens.into_iter().map(|(id, until)| (id.into(), Timestamp(until))).collect(),
                users: users
                    .into_iter()
                    .map(|(user, (since, until))| {
                        (UserName::parse(&user).unwrap(), (Timestamp(since), Timestamp(until)))
                    })
                    .collect(),
            };
            prop_assert_eq!(decode(&encode(&rows)), Ok(rows));
        }

        #[test]
        fn any_bytes_are_a_table_or_none(mut bytes in proptest::collection::vec(any::<u8>(), 1..80)) {
            bytes[0] = VERSION;
            if let Ok(rows) = decode(&bytes) {
                prop_assert_eq!(decode(&encode(&rows)), Ok(rows));
            }
        }
    }
}
