//! The end of a connection: by the server, by the client, or by the network. Each is released exactly once.

use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::websocket::{Opcode, encode_close, encode_frame};
use fanfare_protocol::{ConnectionId, Goodbye, Millis, Push};

use super::Hub;
use crate::outbox::Lane;
use crate::session::SessionState;
use crate::{Dirty, Output};

impl Hub {
    /// Closes a connection by the server's decision: goodbye, close frame, and a deadline for the answer. For a stream:
    /// goodbye, and a deadline for the client's end.
    pub(super) fn disconnect(&mut self, slot: usize, cause: &Disconnect, reconnect_after_ms: Option<u64>) {
        if self.outboxes[slot].is_closing || self.sessions[slot].is_none() {
            return;
        }
        if !is_behind(cause) {
            self.fan_out_to_session(slot);
            if self.outboxes[slot].is_closing {
                return;
            }
        }
        self.counters.disconnects[cause.cause()] += 1;
        self.leave_all(slot);
        if is_behind(cause) {
            self.clear_data(slot);
        }
        let goodbye = Goodbye {
            disconnect: cause.clone(),
            reconnect_after_ms,
        };
        self.push_to(slot, Lane::Data, &Push::Goodbye(goodbye));
        let (code, reason) = self.sessions[slot]
            .as_ref()
            .map_or((cause.code(), cause.reason()), |session| {
                session.dialect.close_of(cause)
            });
        let mut close = Vec::new();
        // A stream ends with its goodbye.
        if !self.is_stream(slot) {
            encode_close(code, reason, &mut close);
        }
        let is_answered = false;
        self.begin_closing(slot, close, Closing { code, is_answered });
    }

    /// The client closes: its close frame is answered with the same code (RFC 6455 section 5.5.1).
    pub(super) fn peer_close(&mut self, connection: ConnectionId, code: Option<u16>) {
        let Some(slot) = self.slot_of(connection) else {
            return;
        };
        if self.outboxes[slot].is_closing {
            if let Some(session) = &mut self.sessions[slot]
                && let SessionState::Closing { is_answered, .. } = &mut session.state
            {
                *is_answered = true;
            }
            return self.drained_somewhat(slot);
        }
        self.counters.closed_by_client += 1;
        self.leave_all(slot);
        self.clear_data(slot);
        let mut close = Vec::new();
        match code {
            Some(code) => encode_close(code, "", &mut close),
            None => encode_frame(Opcode::Close, &[], &mut close),
        }
        let code = code.unwrap_or(NO_CODE);
        self.begin_closing(
            slot,
            close,
            Closing {
                code,
                is_answered: true,
            },
        );
    }

    fn is_stream(&self, slot: usize) -> bool {
        let session = self.sessions[slot].as_ref();
        session.is_some_and(|session| session.dialect.is_stream())
    }

    /// Throws away what waits and would only be in the way of a close.
    fn clear_data(&mut self, slot: usize) {
        self.outboxes[slot].clear_data(&mut self.frames);
        self.notices.forget(slot, &mut self.frames);
    }

    /// Queues the close frame behind everything that still goes.
    fn begin_closing(&mut self, slot: usize, close: Vec<u8>, closing: Closing) {
        let was_taken_in = self.is_taken_in(slot);
        let deadline = Millis(self.now.monotonic.0 + self.limits.close_timeout_ms);
        if let Some(session) = &mut self.sessions[slot] {
            self.awaited -= usize::from(session.is_awaited());
            session.waiting = None;
            session.leaves = None;
            let Closing { code, is_answered } = closing;
            session.state = SessionState::Closing {
                deadline,
                is_answered,
                code,
            };
        }
        self.enqueue(slot, Lane::Data, close);
        self.outboxes[slot].is_closing = true;
        self.outboxes[slot].is_paused = false;
        if !was_taken_in && let Some(session) = &self.sessions[slot] {
            // Its commands mean nothing any more, but its close frame does.
            self.outputs.push_back(Output::Resume(session.connection));
        }
    }

    /// The socket is gone.
    pub(super) fn lost(&mut self, connection: ConnectionId) {
        let Some(slot) = self.slot_of(connection) else {
            return;
        };
        let is_open = !self.outboxes[slot].is_closing;
        // A client has no other way to end a stream.
        if self.is_stream(slot) {
            self.counters.closed_by_client += u64::from(is_open);
        } else {
            self.counters.lost += u64::from(is_open);
        }
        self.leave_all(slot);
        self.release(slot);
    }

    /// Some bytes of a paused or closing connection were written.
    pub(super) fn drained_somewhat(&mut self, slot: usize) {
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        let outbox = &mut self.outboxes[slot];
        if outbox.is_paused && outbox.reply_bytes() <= self.limits.replies_bytes_max / 2 {
            outbox.is_paused = false;
            // Nobody listened to it meanwhile, so its silence counts from here.
            session.heard_at = self.now.monotonic;
            self.outputs.push_back(Output::Resume(session.connection));
        }
        if let SessionState::Closing {
            is_answered: true, ..
        } = session.state
            && outbox.is_empty()
        {
            self.release(slot);
        }
    }

    /// Whether the close frame of a connection was written, with everything before it: nothing follows it.
    pub fn has_said_all(&self, connection: ConnectionId) -> bool {
        self.slot_of(connection).is_some_and(|slot| {
            let outbox = &self.outboxes[slot];
            outbox.is_closing && outbox.is_empty()
        })
    }

    /// Forgets a connection and everything that waits for it.
    pub(super) fn release(&mut self, slot: usize) {
        let Some(session) = self.sessions[slot].take() else {
            return;
        };
        debug_assert!(
            session.subscriptions.is_empty(),
            "a session leaves its topics before it is released"
        );
        let outbox = &mut self.outboxes[slot];
        outbox.clear(&mut self.frames);
        self.notices.forget(slot, &mut self.frames);
        outbox.is_closing = true;
        self.blocked -= usize::from(std::mem::take(&mut outbox.is_blocked));
        self.open -= 1;
        self.awaited -= usize::from(session.is_awaited());
        self.rates.leave(session.user_key);
        self.counters.released += 1;
        let code = match session.state {
            SessionState::Closing { code, .. } => code,
            SessionState::Awaited { .. } | SessionState::Open => NOT_CLOSED,
        };
        self.outputs.push_back(Output::Release(session.connection, code));
    }

    /// Tells a connection that the server stops. When to come back is spread over the window by the connection's
    /// id, so that equal inputs give equal outputs.
    pub(super) fn say_shutdown(&mut self, slot: usize) {
        let (Some(drain), Some(session)) = (&self.drain, &self.sessions[slot]) else {
            return;
        };
        let left = drain.ends_at.since(self.now.monotonic);
        let spread = (session.connection.nonce() as u64)
            .checked_rem(drain.window_ms)
            .unwrap_or(0);
        self.disconnect(slot, &Disconnect::Shutdown, Some(left + spread));
        self.mark_dirty(slot, Dirty::Small);
    }
}

/// How a close begins.
struct Closing {
    /// The code of whoever closes.
    code: u16,
    /// Whether it is the client.
    is_answered: bool,
}

/// What stands for a close frame without a code (RFC 6455, section 7.4.1).
const NO_CODE: u16 = 1005;

/// What stands for the end without a close frame (RFC 6455, section 7.4.1).
const NOT_CLOSED: u16 = 1006;

/// Whether the client has not read what waits for it, so that nothing is gained by keeping it.
fn is_behind(cause: &Disconnect) -> bool {
    matches!(
        cause,
        Disconnect::Slow | Disconnect::Stalled | Disconnect::NoPong | Disconnect::Shed
    )
}
