//! What the fuzz targets check. Each public module is one target: its `run` takes any bytes and panics when something
//! does not hold.
//!
//! The programs in `targets/` hand them to libFuzzer (`cargo xtask fuzz`), the test in `tests/replay.rs` plays every
//! input that is kept. README.md says how to run them and what was run.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a check that fails panics, and the engine keeps the input"
)]

pub mod bounds;
pub mod centrifuge;
pub mod compression;
pub mod connection;
#[path = "../../crates/protocol/tests/websocket/decoded.rs"]
mod decoded;
pub mod event_stream;
pub mod extensions;
pub mod frames;
pub mod hub_inputs;
pub mod json_dialect;
#[path = "../../crates/protocol/tests/websocket/judge.rs"]
mod judge;
mod listener;
pub mod log;
pub mod names;
pub mod proxy_header;
pub mod raw_dialect;
pub mod reassembly;
pub mod request_head;
mod shard;
pub mod stored;
mod stream;

/// A target: its name, which its program and folders have too, and what it runs.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Runs one input.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "centrifuge",
        run: centrifuge::run,
    },
    Target {
        name: "compression",
        run: compression::run,
    },
    Target {
        name: "connection",
        run: connection::run,
    },
    Target {
        name: "event_stream",
        run: event_stream::run,
    },
    Target {
        name: "extensions",
        run: extensions::run,
    },
    Target {
        name: "frames",
        run: frames::run,
    },
    Target {
        name: "hub_inputs",
        run: hub_inputs::run,
    },
    Target {
        name: "json_dialect",
        run: json_dialect::run,
    },
    Target {
        name: "log",
        run: log::run,
    },
    Target {
        name: "names",
        run: names::run,
    },
    Target {
        name: "proxy_header",
        run: proxy_header::run,
    },
    Target {
        name: "raw_dialect",
        run: raw_dialect::run,
    },
    Target {
        name: "reassembly",
        run: reassembly::run,
    },
    Target {
        name: "request_head",
        run: request_head::run,
    },
    Target {
        name: "stored",
        run: stored::run,
    },
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn every_target_has_its_program_and_no_program_is_left_over() {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets");
        for target in super::TARGETS {
            assert!(
                programs.join(target.name).with_extension("rs").exists(),
                "{}",
                target.name
            );
        }
        assert_eq!(programs.read_dir().unwrap().count(), super::TARGETS.len());
    }
}
