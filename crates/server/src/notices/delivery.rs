//! The task that delivers notices: one batch at a time, in order, again and again until it was taken.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Inner;

/// Delivers for ever; ends with its runtime.
pub(super) async fn deliver(notices: Arc<Inner>) {
    loop {
        let filled = notices.is_filled.notified();
        let (batch, count) = notices.queue().batch();
        if count == 0 {
            filled.await;
            continue;
        }
        send_until_taken(&notices, &batch).await;
        notices.delivered.fetch_add(count as u64, Ordering::Relaxed);
        let is_empty = {
            let mut queue = notices.queue();
            queue.remove(count);
            queue.len() == 0
        };
        if is_empty {
            notices.is_emptied.notify_waiters();
        }
    }
}

/// Sends a batch until it was taken; between two tries it waits longer each time.
async fn send_until_taken(notices: &Inner, batch: &str) {
    let body = format!(
        "{{\"hook\":\"notices\",\"run\":\"{}\",\"notices\":{batch}}}",
        notices.run
    );
    let (mut pause, mut failures) = (PAUSE_MIN, 0);
    while !send(notices, &body).await {
        notices.failures.fetch_add(1, Ordering::Relaxed);
        failures += 1;
        // One alone happens wherever a server closes connections that were quiet for a while.
        if failures == 2 {
            tracing::warn!("notices are not taken by their backend, they wait and are sent again");
        }
        rest(notices, pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    if failures >= 2 {
        tracing::info!("notices are taken again");
    }
}

/// Whether a batch was taken.
async fn send(notices: &Inner, body: &str) -> bool {
    let body = body.to_owned().into();
    let told = timeout(notices.timeout, notices.courier.tell(&notices.uri, body)).await;
    let problem = match told {
        Ok(Ok(())) => return true,
        Ok(Err(mishap)) => format!("{mishap:?}"),
        Err(_) => "timeout".to_owned(),
    };
    tracing::debug!(problem, "notices were not taken");
    false
}

/// Waits, anywhere from half of a pause to all of it, so that several servers do not come back together; less when the
/// program ends.
async fn rest(notices: &Inner, pause: Duration) {
    let mut is_ending = notices.is_ending.subscribe();
    let whole = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
    let shortened = async {
        // The sender lives as long as the notices.
        drop(is_ending.wait_for(|is_ending| *is_ending).await);
        sleep(whole.min(PAUSE_MIN)).await;
    };
    tokio::select! {
        () = sleep(whole) => {}
        () = shortened => {}
    }
}

/// The pause after the first failure.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);
