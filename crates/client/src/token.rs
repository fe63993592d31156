//! Tokens, and where a client gets them from. What a token says is known to the server alone; nothing here shows one.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::limits::TOKEN_BYTES_MAX;

/// What a client shows to say who it is, or that it may receive a topic: 1 to 8,192 visible ASCII characters, so that it
/// fits a header. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

impl Token {
    /// Takes a token as its issuer made it; white space around it, such as the end of a file's line, is left out.
    ///
    /// # Errors
    /// It is empty, too long, or has a character that no token has. The error does not show it.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim_ascii();
        if !(1..=TOKEN_BYTES_MAX).contains(&text.len()) {
            return Err(TokenError::Length { bytes: text.len() });
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Character);
        }
        Ok(Self(text.into()))
    }

    /// The token itself, to be sent and to be shown to nobody.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(not shown)")
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Whoever makes them cannot be asked now. The client asks again after a delay.
    #[error("no token can be had now: {0}")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
    /// There is none for this user any more. A client that needs it to connect ends.
    #[error("there is no token: {0}")]
    Denied(#[source] Box<dyn StdError + Send + Sync>),
    /// What was given is empty, or longer than any token.
    #[error("a token has 1 to {TOKEN_BYTES_MAX} bytes, this one has {bytes}; ask its issuer for another")]
    Length {
        /// Its length without white space around it.
        bytes: usize,
    },
    /// What was given has characters that no token has.
    #[error("a token has visible ASCII characters alone, this one has others; give it as its issuer made it")]
    Character,
}

impl TokenError {
    /// Nobody can be asked now, for this reason.
    pub fn unavailable(reason: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable(reason.into())
    }

    /// There is none any more, for this reason.
    pub fn denied(reason: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Denied(reason.into())
    }

    /// Whether asking again may help.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Where a client gets tokens from: a text that is always the same, or a closure that is asked each time one is needed.
///
/// That is at each attempt to connect, and before the one in use ends; one for topics at each subscription. The closure
/// runs on the client's task, so it waits with `await` and blocks nothing; it is given up, as `Unavailable`, after the
/// [`connect_timeout`](crate::ConnectOptions::connect_timeout). A panic in it ends the client. Clones ask the same closure.
///
/// ```
/// use fanfare_client::{ConnectOptions, TokenError, TokenSource};
///
/// # async fn ask_backend() -> Result<String, std::io::Error> { Ok("t".into()) }
/// let fixed = TokenSource::from("eyJhbGciOiJI…");
/// let asked = TokenSource::new(|| async { ask_backend().await.map_err(TokenError::unavailable) });
/// let options = ConnectOptions { token: Some(asked), ..ConnectOptions::default() };
/// # let _ = (fixed, options);
/// ```
#[derive(Clone)]
pub struct TokenSource(Source);

#[derive(Clone)]
enum Source {
    Fixed(Arc<str>),
    Asked(Arc<AskForToken>),
}

type AskForToken = dyn Fn() -> Asking + Send + Sync;
type Asking = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>>;

impl TokenSource {
    /// A closure that is asked each time.
    pub fn new<F, A>(ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        Self(Source::Asked(Arc::new(move || Box::pin(ask()))))
    }

    /// Asks for a token and waits at most for `time`.
    pub(crate) async fn ask(&self, time: Duration) -> Result<Token, TokenError> {
        match &self.0 {
            Source::Fixed(text) => Token::parse(text),
            Source::Asked(ask) => match timeout(time, ask()).await {
                Ok(text) => Token::parse(&text?),
                Err(_) => Err(TokenError::unavailable(format!("no answer within {time:?}"))),
            },
        }
    }

    /// What clones of this source have in common with each other and with no other source that is held.
    pub(crate) fn identity(&self) -> usize {
        match &self.0 {
            Source::Fixed(text) => Arc::as_ptr(text).cast::<()>() as usize,
            Source::Asked(ask) => Arc::as_ptr(ask).cast::<()>() as usize,
        }
    }
}

impl From<&str> for TokenSource {
    fn from(token: &str) -> Self {
        Self(Source::Fixed(token.into()))
    }
}

impl From<String> for TokenSource {
    fn from(token: String) -> Self {
        Self(Source::Fixed(token.into()))
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenSource(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_a_header_and_is_never_shown() {
        assert_eq!(Token::parse("a.b.c\n").unwrap().expose(), "a.b.c");
        for text in ["", " \n", "secret one", "secret\r\nX: y", "gehéim"] {
            let error = Token::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
        assert!(Token::parse(&"x".repeat(TOKEN_BYTES_MAX)).is_ok());
        assert!(Token::parse(&"x".repeat(TOKEN_BYTES_MAX + 1)).is_err());
        let shown = format!(
            "{:?} {:?}",
            Token::parse("secret").unwrap(),
            TokenSource::from("secret")
        );
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_answer_is_given_up() {
        let source = TokenSource::new(std::future::pending);
        let error = source.ask(Duration::from_secs(10)).await.unwrap_err();
        assert!(error.is_temporary(), "{error}");
    }
}
