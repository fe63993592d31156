//! The ways in which client libraries speak.

use std::fmt;

use crate::sdk::Sdk;

/// A library, and how it speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) sdk: Sdk,
    /// The last part of the address.
    pub(crate) transport: &'static str,
    pub(crate) encoding: Encoding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Protobuf,
}

/// All that are tested: a line adds one to every story.
const WAYS: &[Way] = &[
    Way::new(Sdk::JavaScript, "websocket", Encoding::Json),
    Way::new(Sdk::JavaScript, "websocket", Encoding::Protobuf),
    Way::new(Sdk::JavaScript, "http_stream", Encoding::Json),
    Way::new(Sdk::JavaScript, "http_stream", Encoding::Protobuf),
    Way::new(Sdk::JavaScript, "sse", Encoding::Json),
    Way::new(Sdk::Python, "websocket", Encoding::Json),
    Way::new(Sdk::Python, "websocket", Encoding::Protobuf),
    Way::new(Sdk::Go, "websocket", Encoding::Json),
    Way::new(Sdk::Go, "websocket", Encoding::Protobuf),
];

impl Way {
    const fn new(sdk: Sdk, transport: &'static str, encoding: Encoding) -> Self {
        Self {
            sdk,
            transport,
            encoding,
        }
    }

    /// Those whose libraries this machine can run.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        WAYS.iter().copied().filter(|way| way.sdk.is_here())
    }
}

impl Encoding {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Protobuf => "protobuf",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {}", self.sdk, self.transport, self.encoding.name())
    }
}
