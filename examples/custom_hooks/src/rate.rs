//! How fast users talk: so many messages in a window of time that begins with the first of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fanfare::{Denial, ErrorCode, UserName};

const MESSAGES_MAX: u32 = 5;
const WINDOW: Duration = Duration::from_secs(2);

/// What users have said lately.
#[derive(Default)]
pub struct Rates(Mutex<HashMap<UserName, (Instant, u32)>>);

impl Rates {
    /// Counts a message; a denial says when to come back.
    pub fn take(&self, user: &UserName) -> Result<(), Denial> {
        let now = Instant::now();
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody is remembered for longer than a window.
        rates.retain(|_, (began, _)| now - *began < WINDOW);
        let (began, count) = rates.entry(user.clone()).or_insert((now, 0));
        if *count == MESSAGES_MAX {
            let left = WINDOW - (now - *began);
            return Err(Denial::Refused {
                code: ErrorCode::RateLimited,
                message: format!("{MESSAGES_MAX} messages in {} s are enough", WINDOW.as_secs()),
                retry_after_ms: Some(left.as_millis() as u64 + 1),
                application_code: None,
            });
        }
        *count += 1;
        Ok(())
    }
}
