//! The market: prices that wander at random, each published under the key of its symbol.

use std::error::Error;
use std::time::Duration;

use fanfare::{Fanfare, Key, Payload, PublishOptions};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

/// The topic of all prices.
pub const TOPIC: &str = "prices";

const SYMBOLS: [&str; 8] = ["ARC", "BLU", "CRN", "DLT", "ELM", "FRN", "GLD", "HAY"];

/// Time between two rounds of prices.
const TICK: Duration = Duration::from_millis(50);

/// A price as subscribers get it.
#[derive(Clone, Copy, Serialize)]
struct Price {
    symbol: &'static str,
    cents: u32,
}

/// Publishes all prices, twenty times a second.
pub async fn run(fanfare: Fanfare) {
    let mut prices = SYMBOLS.map(|symbol| Price {
        symbol,
        cents: fastrand::u32(2_000..50_000),
    });
    let mut ticks = interval(TICK);
    // Rounds that were missed are of no interest to anyone.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        for price in &mut prices {
            price.wander();
            if let Err(error) = publish(&fanfare, *price).await {
                eprintln!("the price of {} was not published: {error}", price.symbol);
            }
        }
    }
}

async fn publish(fanfare: &Fanfare, price: Price) -> Result<(), Box<dyn Error>> {
    let options = PublishOptions {
        key: Some(Key::parse(price.symbol)?),
        ..PublishOptions::default()
    };
    fanfare
        .publish_with(TOPIC, Payload::serialize(&price)?, options)
        .await?;
    Ok(())
}

impl Price {
    /// Up or down by at most half a percent, and never to nothing.
    fn wander(&mut self) {
        let step = self.cents / 200 + 1;
        self.cents = fastrand::u32(self.cents.saturating_sub(step).max(100)..=self.cents + step);
    }
}
