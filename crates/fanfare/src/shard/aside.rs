//! What clients say beside their streams. It comes by mail and stands in the line of what its connection has said, as if it
//! had come over a WebSocket: so every bound on that holds for it as well.

use fanfare_hub::Received;
use fanfare_protocol::ConnectionId;
use subtle::ConstantTimeEq as _;

use super::mail::{Heard, Named, Said};
use super::{Connection, Shard};

impl Shard {
    /// Takes in what somebody says for a connection, if it may.
    pub(super) fn hear_aside(&mut self, said: Said) {
        let Said {
            connection,
            secret,
            frame,
            answer,
        } = said;
        let heard = if self.is_its_secret(connection, secret) {
            self.put_in_line(connection, &frame)
        } else {
            Heard::Unknown
        };
        // Whoever asked may have gone.
        let _ = answer.send(heard);
    }

    /// Says whether a session is there that somebody names.
    pub(super) fn find_session(&self, named: Named) {
        let Named {
            connection,
            secret,
            answer,
        } = named;
        // Whoever asked may have gone.
        let _ = answer.send(self.is_its_secret(connection, secret));
    }

    /// Looks at all of the secret whatever it is, so that nobody learns from the time it takes how much of it is right.
    fn is_its_secret(&self, id: ConnectionId, secret: u128) -> bool {
        let its = self.secrets.get(&id);
        its.is_some_and(|its| its.to_ne_bytes().ct_eq(&secret.to_ne_bytes()).into())
    }

    /// Has a frame read when it is its turn: behind what waits, and when the hub wants to hear of the connection.
    fn put_in_line(&mut self, id: ConnectionId, frame: &[u8]) -> Heard {
        let bytes_max = self.options.limits.message_bytes_max as usize;
        let is_open = self.hub.is_open(id);
        let known = self.connections.get_mut(id.slot()).and_then(Option::as_mut);
        // Who only receives has a session as well, and nothing to say.
        let may_speak = |known: &&mut Connection| known.id == id && known.dialect.is_spoken_beside();
        let Some(connection) = known.filter(|known| is_open && may_speak(known)) else {
            return Heard::Unknown;
        };
        if !has_room(connection, frame, bytes_max) {
            return Heard::Full;
        }
        let mut line = connection.stash.take().unwrap_or_default().into_vec();
        line.extend_from_slice(frame);
        connection.stash = Some(line.into_boxed_slice());
        let received = Received {
            bytes: frame.len(),
            ..Received::default()
        };
        self.hub.received(self.now, id, received);
        self.count_receiving(id);
        self.resume(id);
        Heard::Taken
    }
}

/// Whether a frame finds room: alone it always does, with others as far as one message might go.
fn has_room(connection: &Connection, frame: &[u8], bytes_max: usize) -> bool {
    let waiting = connection.stash.as_ref().map_or(0, |line| line.len());
    waiting == 0 || waiting + frame.len() <= bytes_max
}
