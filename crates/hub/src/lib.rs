//! The Fanfare hub: a pure state machine of sessions, topics, fan-out and outboxes.
//!
//! One [`Hub`] belongs to one shard. Inputs go in with [`Hub::handle`], which is given the time; what is to be done
//! in the world comes out of [`Hub::poll_output`], and all of it is taken out before the next input. Bytes for
//! clients wait in outboxes: [`Hub::next_dirty`] names a connection to write, [`Hub::gather`] lends its bytes and
//! [`Hub::wrote`] takes note of how many the socket took.
//!
//! There is no I/O here, no clock, no randomness, no thread and no lock: equal inputs give equal outputs, which is
//! what the simulator in `sim/` checks by the hundred thousand. Order is not made here either: that is the
//! [`broker`]'s, whose contract and conformance suite live in this crate.

pub mod access;
mod ask;
mod audiences;
pub mod broker;
mod bucket;
pub mod conformance;
mod counters;
mod demand;
mod encoder;
mod frames;
mod history;
mod hub;
mod input;
mod leave;
mod limits;
mod missed;
mod outbox;
mod output;
mod pacing;
mod repetitions;
mod replays;
mod roster;
mod session;
mod slow_rule;
mod topic;

pub use ask::{Admission, Amendment, Answer, Concerns, Denial, Question};
pub use bucket::{Bucket, Rate};
pub use counters::{Counters, Hold, Samples};
pub use history::{History, Retention};
pub use hub::{ConnectionRow, Dirty, Gauges, Hub, Listed, Received, SURVEY_PAGE};
pub use input::{Control, Input, Now, Opened, Renewal, Role, Selector, WantedTopic};
pub use leave::{Leave, Leaves, RenewedBy};
pub use limits::Limits;
pub use output::{Asked, Output, Ticket};
pub use repetitions::Repetitions;
pub use roster::{Attendee, CHANGES_MAX, Change, Roster, RosterDiff, RosterPage, Version};
pub use slow_rule::{SlowRule, SlowRuleError, SlowRules};
