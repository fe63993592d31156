//! How a client connects.

use std::time::Duration;

use crate::token::TokenSource;

/// How a client connects and what it puts up with.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// How long an attempt may take, up to the server's welcome; as long a token may be waited for. Default 10 s.
    pub connect_timeout: Duration,
    /// How long a command may take, waits for a reconnect included. Default 10 s.
    pub command_timeout: Duration,
    /// How long the server may take none of what is written. Default 10 s.
    pub write_timeout: Duration,
    /// How long [`Client::close`](crate::Client::close) waits for the server's close frame. Default 2 s.
    pub close_timeout: Duration,
    /// The first delay before a reconnect; it doubles with every attempt that fails, and each is drawn between half of
    /// that and all of it. Default 200 ms.
    pub reconnect_delay_min: Duration,
    /// The longest of those delays, at most a day. The server may ask for a longer one. Default 20 s.
    pub reconnect_delay_max: Duration,
    /// Attempts after a connection ended before the client gives up; 0 ends it with its connection. A connection of 5 s
    /// begins the count anew. Default: none, and then it goes on for ever.
    pub reconnect_attempts_max: Option<u32>,
    /// How long after a connection of at least 5 s ended another attempt may begin; then the client gives up. Default:
    /// none, and then it goes on for ever.
    pub reconnect_time_max: Option<Duration>,
    /// Where the token comes from that says who the client is. It is sent as `Authorization: Bearer` with each attempt
    /// to connect, and another one over the connection before it ends. Default: none, and the client is anonymous.
    pub token: Option<TokenSource>,
    /// Largest message the server may send. Default 16 MiB and 64 KiB.
    pub message_bytes_max: u32,
    /// Pushes that may wait for [`Client::next`](crate::Client::next); at least 1. Beyond, nothing is read from the
    /// server. Default 1024.
    pub pushes_max: usize,
    /// Deliveries that may wait in one [`Subscription`](crate::Subscription); at least 1. Beyond, publications are left
    /// out of it and it is told how many; what is left out of who comes and goes it is told too. Default 256.
    pub deliveries_max: usize,
    /// Bytes of publications, and of [who is there](crate::SubscribeOptions::presence), that may wait in one
    /// [`Subscription`](crate::Subscription), with the same consequence; one of them may always wait. Default 16 MiB.
    pub delivery_bytes_max: usize,
    /// For `wss://`: the authorities, in PEM, of which one must stand for the server. Default: none, and then it is one
    /// of the system's.
    pub authorities: Vec<u8>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(2),
            reconnect_delay_min: Duration::from_millis(200),
            reconnect_delay_max: Duration::from_secs(20),
            reconnect_attempts_max: None,
            reconnect_time_max: None,
            token: None,
            message_bytes_max: 16 * 1024 * 1024 + 64 * 1024,
            pushes_max: 1024,
            deliveries_max: 256,
            delivery_bytes_max: 16 * 1024 * 1024,
            authorities: Vec::new(),
        }
    }
}
