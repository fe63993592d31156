//! Whose tokens are accepted, in the words of the library.

use fanfare::tokens::{IssuerOptions, JwksOptions, TokenLimits, Tokens, TokensError, TokensOptions};

use crate::options::ServeOptions;

/// What verifies tokens, if there are keys that do.
///
/// # Errors
/// TLS cannot be used to fetch keys.
pub(crate) fn tokens(options: &ServeOptions) -> Result<Option<Tokens>, TokensError> {
    let limits = TokenLimits {
        leeway_ms: options.token_leeway.as_millis() as u64,
        lifetime_max_ms: options.token_lifetime_max.as_millis() as u64,
        ..TokenLimits::default()
    };
    let Some(issuer) = issuer(options) else {
        return Ok(None);
    };
    let options = TokensOptions {
        issuers: vec![issuer],
        limits,
        claims: options.token_claim.clone(),
    };
    Tokens::new(options).map(Some)
}

/// Who makes tokens; nobody where no key verifies them.
pub(super) fn issuer(options: &ServeOptions) -> Option<IssuerOptions> {
    let has_keys = !options.token_key.is_empty() || options.token_jwks_url.is_some();
    has_keys.then(|| IssuerOptions {
        name: options.token_issuer.clone(),
        audiences: options.token_audience.clone(),
        keys: options.token_key.iter().map(|key| key.0.clone()).collect(),
        jwks: options.token_jwks_url.clone().map(JwksOptions::new),
    })
}

/// Keys of the configuration that take effect while tokens are accepted.
pub(super) const LIVE: [&str; 4] = ["token_key", "token_jwks_url", "token_issuer", "token_audience"];
