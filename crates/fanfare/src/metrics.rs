//! The Prometheus page: written from the shards' snapshots when it is asked for.

use std::fmt;
