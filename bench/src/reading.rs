//! What a server holds at one moment, and waiting until it holds less.

use crate::report::mib;
use crate::server::{Memory, Server};
use serde::Serialize;
use std::io;
use std::time::{Duration, Instant};

/// Memory and descriptors of a server at one moment.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Reading {
    pub(crate) memory: Memory,
    pub(crate) descriptors: usize,
}

impl Reading {
    /// Asks the kernel, not the server.
    pub(crate) fn take(server: &Server) -> io::Result<Self> {
        Ok(Self {
            memory: server.memory()?,
            descriptors: server.descriptors()?,
        })
    }

    /// As cells of a table: RSS and anonymous memory in MiB, descriptors.
    pub(crate) fn cells(&self) -> [String; 3] {
        [
            mib(self.memory.rss_bytes as f64),
            mib(self.memory.anonymous_bytes as f64),
            self.descriptors.to_string(),
        ]
    }

    /// By how much the resident memory has grown since; negative when it has shrunk.
    pub(crate) fn rss_growth_bytes(&self, earlier: &Self) -> f64 {
        self.memory.rss_bytes as f64 - earlier.memory.rss_bytes as f64
    }
}

/// Waits until the server has no more than `expected` descriptors, or for `length`.
pub(crate) fn await_descriptors(server: &Server, expected: usize, length: Duration) -> io::Result<()> {
    let deadline = Instant::now() + length;
    while server.descriptors()? > expected && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
