//! The Fanfare hub: a pure state machine of sessions, topics, fan-out and outboxes, and the broker contract.
