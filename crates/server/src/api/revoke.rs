//! Revoking tokens: one by its id, or all of a user.

use axum::Json;
use axum::extract::{Request, State};
use fanfare::tokens::{Revocation, RevokeError};
use fanfare::{Timestamp, UserName};
use serde::{Deserialize, Serialize};

use super::Api;
use super::answer::{Code, Problem};
use super::body::Call;

/// How many connections were closed.
#[derive(Debug, Serialize)]
pub(super) struct Revoked {
    connections: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevokeBody {
    user: Option<String>,
    token: Option<String>,
    /// In seconds since 1970, as in the token.
    expires_at: Option<u64>,
}

/// `POST /api/revoke`
pub(super) async fn revoke(State(api): State<Api>, request: Request) -> Result<Json<Revoked>, Problem> {
    let call = Call::receive(request, &[], api.fanfare.limits()).await?;
    let body: RevokeBody = call.json()?;
    let connections = api.fanfare.revoke(body.into_revocation()?).await?;
    Ok(Json(Revoked { connections }))
}

impl RevokeBody {
    fn into_revocation(self) -> Result<Revocation, Problem> {
        match (self.user, self.token, self.expires_at) {
            (Some(user), None, None) => UserName::parse(&user)
                .map(Revocation::User)
                .map_err(|error| Problem::new(Code::BadUser, error.to_string())),
            (None, Some(id), expires_at) if (1..=ID_BYTES_MAX).contains(&id.len()) => Ok(Revocation::Token {
                id: id.into(),
                expires_at: expires_at.map(|seconds| Timestamp(seconds.saturating_mul(1_000))),
            }),
            (None, Some(id), _) => {
                let message = format!(
                    "`token` is {} bytes, the `jti` of a token has 1 to {ID_BYTES_MAX}",
                    id.len()
                );
                Err(Problem::new(Code::BadBody, message))
            }
            _ => {
                let message = "what is revoked is named by `user`, or by `token` with its `jti`, where `expires_at` may \
                               stand too; give exactly one";
                Err(Problem::new(Code::BadBody, message))
            }
        }
    }
}

impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        match error {
            RevokeError::NoTokens => Self::new(Code::NoTokens, error.to_string()),
            RevokeError::Full(_) => Self::new(Code::RevocationsFull, error.to_string()),
            RevokeError::NotStored(_) => Self::new(Code::RevocationNotStored, error.to_string()),
            RevokeError::Call(error) => error.into(),
        }
    }
}

/// The longest id of a token.
const ID_BYTES_MAX: usize = 255;
