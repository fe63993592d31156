//! What a shard's thread does in a turn: read, take mail, fan out, write, tick. The same as in `crates/fanfare`,
//! with queues and byte vectors for sockets.

use std::io::IoSlice;
use std::task::Poll;

use fanfare_hub::broker::{BrokerEvent, PublishId};
use fanfare_hub::{Control, Dirty, Input, Listed, Output, Received, Ticket};
use fanfare_protocol::codes::Disconnect;
use fanfare_protocol::dialect::Direct;
use fanfare_protocol::websocket::{Decoder, Item, Role};
use fanfare_protocol::{ConnectionId, Draft};

use crate::broker::{Request, pick};
use crate::truth::number_in;
use crate::world::{Letter, World};

/// Time between two ticks of a shard, in milliseconds.
const TICK_MS: u64 = 100;

impl World {
    /// One turn of a shard, with random shares of everything that waits.
    pub(crate) fn turn(&mut self, shard: usize) {
        self.report_writable(shard);
        self.read(shard);
        self.take_mail(shard);
        self.take_letters(shard);
        while let Some((connection, answer)) = self.application.answer(self.now.monotonic, shard) {
            self.handle(shard, Input::Answered(connection, answer));
        }
        self.handle(shard, Input::Settle);
        self.write_small(shard);
        let slice = self.rng.usize(0..8);
        for _ in 0..slice {
            let Some(connection) = self.shards[shard].hub.next_dirty(Dirty::Big) else {
                break;
            };
            self.write(shard, connection);
        }
        if self.now.monotonic.since(self.shards[shard].ticked_at) >= TICK_MS {
            self.shards[shard].ticked_at = self.now.monotonic;
            self.hear_unread(shard);
            self.handle(shard, Input::Tick);
            self.write_small(shard);
        }
        self.check_sockets(shard);
    }

    /// Checks that no socket waits for something that has happened.
    fn check_sockets(&self, shard: usize) {
        for &client in self.shards[shard].slots.iter().flatten() {
            let client = &self.clients[client];
            let may_be_read = self.shards[shard].hub.is_readable(client.id) && !client.outgoing.is_empty();
            assert!(
                !may_be_read || client.is_readable || client.is_gone,
                "{}: it may be read from and the shard was not told",
                client.id
            );
            let has_both_closes = client.is_closed && client.has_sent_close && client.outgoing.is_empty();
            assert!(
                !has_both_closes || client.is_discarding || client.is_gone,
                "{}: both close frames came and it is still here",
                client.id
            );
        }
    }

    /// Writes until no connection is named any more; then whoever has room has everything.
    pub(crate) fn flush(&mut self, shard: usize) {
        self.report_writable(shard);
        self.write_small(shard);
        while let Some(connection) = self.shards[shard].hub.next_dirty(Dirty::Big) {
            self.write(shard, connection);
            self.write_small(shard);
        }
        for row in self.shards[shard].hub.connections(Listed::All, 0, usize::MAX).0 {
            let client = self.client_of(row.connection).map(|client| &self.clients[client]);
            assert!(
                row.outbox_bytes == 0 || client.is_some_and(|client| client.is_blocked),
                "{}: {} bytes wait and nobody writes them",
                row.connection,
                row.outbox_bytes
            );
        }
    }

    /// Gives one input to a hub and does everything that comes of it.
    pub(crate) fn handle(&mut self, shard: usize, input: Input<'_>) {
        self.shards[shard].hub.handle(self.now, input);
        self.drain(shard);
    }

    /// Does what the application asks of a hub.
    pub(crate) fn control(&mut self, shard: usize, control: Control) -> usize {
        let concerned = self.shards[shard].hub.control(self.now, control);
        self.drain(shard);
        concerned
    }

    fn drain(&mut self, shard: usize) {
        loop {
            while let Some(output) = self.shards[shard].hub.poll_output() {
                self.transcript
                    .tell(format_args!("{} shard {shard}: {output:?}", self.now.monotonic.0));
                self.perform(shard, output);
            }
            let Some(answer) = self.shards[shard].answers.pop_front() else {
                return;
            };
            self.shards[shard].hub.handle(self.now, answer);
        }
    }

    fn perform(&mut self, shard: usize, output: Output) {
        let now = self.now.monotonic;
        match output {
            Output::Join(topic) => self.broker.request(now, shard, Request::Join(topic)),
            Output::Read(topic, read, id) => {
                self.broker.request(now, shard, Request::Read(topic, read, id));
            }
            Output::Leave(topic) => self.broker.request(now, shard, Request::Leave(topic)),
            Output::Report(topic, count) => {
                self.broker.request(now, shard, Request::Report(topic, count));
            }
            Output::Count(topic) => {
                let count = self.broker.subscribers(&topic);
                self.shards[shard].answers.push_back(Input::Counted(topic, count));
            }
            Output::Attend(topic, changes) => {
                self.broker.request(now, shard, Request::Attend(topic, changes));
            }
            Output::Roster {
                topic,
                after,
                count,
                ticket,
            } => {
                let page = self.broker.roster(&topic, after, count);
                let answer = Input::Roster(ticket, topic, page);
                self.shards[shard].answers.push_back(answer);
            }
            Output::Survey { topic, since, all } => {
                // Small, so that not everyone fits.
                let count = 5;
                let diff = self.broker.survey(&topic, since, all, count);
                let answer = Input::Surveyed(topic, diff);
                self.shards[shard].answers.push_back(answer);
            }
            Output::Publish(draft, ticket) => self.publish_for(shard, draft, ticket),
            Output::Deliver(to, direct, ticket) => self.deliver(shard, to, direct, ticket),
            Output::Ask(connection, _, question) => self.application.ask(now, shard, connection, question),
            Output::TokenRefused(connection) => panic!("{connection} has no token"),
            // Nobody wants to be told.
            Output::Entered(..) => {}
            Output::Resume(connection) => {
                if let Some(client) = self.client_of(connection) {
                    self.clients[client].is_readable = true;
                }
            }
            Output::Release(connection, _) => self.release(shard, connection),
        }
    }

    fn publish_for(&mut self, shard: usize, draft: Draft, ticket: Ticket) {
        let topic = draft.topic.clone();
        let place = &mut self.shards[shard];
        place.publishes_made += 1;
        let key = place.publishes_made;
        let answer = self
            .broker
            .ask_to_publish(self.now.monotonic, shard, draft, PublishId(key));
        let place = &mut self.shards[shard];
        match answer {
            Poll::Ready(outcome) => place.answers.push_back(Input::Published(ticket, topic, outcome)),
            Poll::Pending => drop(place.publishes.insert(key, (ticket, topic))),
        }
    }

    fn deliver(&mut self, shard: usize, to: ConnectionId, direct: Direct, ticket: Ticket) {
        if to.shard() == shard {
            let was_there = self.hand_over(shard, to, direct);
            let answer = Input::Delivered(ticket, Ok(was_there));
            return self.shards[shard].answers.push_back(answer);
        }
        if let Some(other) = self.shards.get_mut(to.shard()) {
            other.inbox.push_back(Letter::Deliver(to, direct, ticket, shard));
        } else {
            let answer = Input::Delivered(ticket, Ok(false));
            self.shards[shard].answers.push_back(answer);
        }
    }

    /// Gives a direct publication to its connection, inside a drain: what comes of it is drained there.
    fn hand_over(&mut self, shard: usize, to: ConnectionId, direct: Direct) -> bool {
        let number = number_in(&String::from_utf8_lossy(direct.payload.as_bytes()));
        let control = Control::Deliver(to, direct);
        let was_there = self.shards[shard].hub.control(self.now, control) == 1;
        if was_there {
            self.broker.truth.handed_over.insert(number, to);
        }
        was_there
    }

    fn release(&mut self, shard: usize, connection: ConnectionId) {
        let Some(client) = self.client_of(connection) else {
            panic!("{connection} is released and is not here");
        };
        let client = &mut self.clients[client];
        assert!(!client.is_released, "{connection} is released twice");
        client.is_released = true;
        let place = &mut self.shards[shard];
        place.slots[connection.slot()] = None;
        place.free.push(connection.slot());
    }

    /// What the poll would report of sockets that were blocked.
    fn report_writable(&mut self, shard: usize) {
        for slot in 0..self.shards[shard].slots.len() {
            let Some(client) = self.shards[shard].slots[slot] else {
                continue;
            };
            let client = &mut self.clients[client];
            if client.room > 0 && std::mem::take(&mut client.is_blocked) {
                self.shards[shard].hub.writable(client.id);
            }
        }
    }

    /// Whose bytes wait for the shard is not silent. That the shard has not read a message to its end in time is not
    /// the client's fault either.
    fn hear_unread(&mut self, shard: usize) {
        let place = &mut self.shards[shard];
        for &client in place.slots.iter().flatten() {
            let client = &mut self.clients[client];
            if client.is_readable && !client.outgoing.is_empty() {
                place.hub.heard(self.now, client.id);
            }
            let is_late = |since| self.now.monotonic.since(since) >= self.limits.message_timeout_ms;
            if client.half_read_since.is_some_and(is_late) {
                client.reasons.push(Disconnect::MessageTimeout.code());
            }
        }
    }

    /// Reads from some of those that are readable.
    fn read(&mut self, shard: usize) {
        for slot in 0..self.shards[shard].slots.len() {
            let is_full = self.broker.waiting(shard) >= self.broker.places_max().div_ceil(2);
            if is_full || self.rng.u8(0..8) == 0 {
                continue;
            }
            if let Some(client) = self.shards[shard].slots[slot] {
                self.read_from(shard, client);
            }
        }
    }

    fn read_from(&mut self, shard: usize, client: usize) {
        let id = self.clients[client].id;
        if self.clients[client].is_gone {
            return self.handle(shard, Input::Lost(id));
        }
        if !std::mem::take(&mut self.clients[client].is_readable) {
            return;
        }
        let room = self.shards[shard].hub.reading_room(self.now, id);
        if room == 0 {
            return;
        }
        let waiting = self.clients[client].outgoing.len();
        let count = if self.rng.bool() {
            waiting
        } else {
            self.rng.usize(0..=waiting)
        };
        let count = count.min(room);
        let mut bytes = self.clients[client].outgoing[..count].to_vec();
        let taken = if count > 0 {
            self.take_bytes(shard, client, &mut bytes)
        } else {
            0
        };
        let client = &mut self.clients[client];
        client.outgoing.drain(..taken);
        client.is_readable = taken < waiting;
    }

    /// Decodes what was read as far as the hub wants to hear it; gives how much that was.
    fn take_bytes(&mut self, shard: usize, client: usize, bytes: &mut [u8]) -> usize {
        let id = self.clients[client].id;
        let count = bytes.len();
        if self.clients[client].is_discarding {
            return count;
        }
        let placeholder = Decoder::new(Role::Server);
        let mut decoder = std::mem::replace(&mut self.clients[client].server_decoder, placeholder);
        let mut input = bytes;
        let mut is_anew = false;
        while self.shards[shard].hub.is_readable(id) {
            match decoder.next(&mut input, self.limits.message_bytes_max) {
                Ok(None) => break,
                Ok(Some(item)) => {
                    self.take_item(shard, client, &item);
                    is_anew |= !decoder.is_message_open();
                }
                Err(_) => {
                    self.clients[client].is_discarding = true;
                    self.handle(shard, Input::Disconnect(id, Disconnect::ProtocolError));
                    break;
                }
            }
        }
        let taken = if self.clients[client].is_discarding {
            count
        } else {
            count - input.len()
        };
        let is_partial = !decoder.is_idle();
        let place = &mut self.clients[client];
        place.server_decoder = decoder;
        if !is_partial {
            place.half_read_since = None;
        } else if is_anew || place.half_read_since.is_none() {
            place.half_read_since = Some(self.now.monotonic);
        }
        let received = Received {
            bytes: taken,
            is_partial,
            is_anew,
        };
        self.shards[shard].hub.received(self.now, id, received);
        taken
    }

    fn take_item(&mut self, shard: usize, client: usize, item: &Item<'_>) {
        let id = self.clients[client].id;
        let dialect = self.clients[client].dialect;
        self.transcript
            .tell(format_args!("{} {id} says {item:?}", self.now.monotonic.0));
        match item {
            Item::Text(_) | Item::Binary(_) => {
                self.handle(shard, Input::Message(id, dialect.decode(item)));
            }
            Item::Ping(payload) => self.handle(shard, Input::Ping(id, payload)),
            Item::Pong(_) => self.handle(shard, Input::Pong(id)),
            Item::Close(close) => {
                self.handle(
                    shard,
                    Input::PeerClose(id, close.as_ref().map(|close| close.code)),
                );
            }
        }
    }

    fn take_mail(&mut self, shard: usize) {
        let most = *pick(&mut self.rng, &[0, 1, 10, 256]);
        for _ in 0..most {
            if self.shards[shard].hub.is_pressed() {
                return;
            }
            let Some(event) = self.broker.take(self.now.monotonic, shard) else {
                return;
            };
            self.transcript.tell(format_args!(
                "{} shard {shard} gets {event:?}",
                self.now.monotonic.0
            ));
            match event {
                BrokerEvent::Published { publish, outcome } => {
                    if let Some((ticket, topic)) = self.shards[shard].publishes.remove(&publish.0) {
                        self.handle(shard, Input::Published(ticket, topic, outcome));
                    }
                }
                event => self.handle(shard, Input::Broker(event)),
            }
        }
    }

    fn take_letters(&mut self, shard: usize) {
        while let Some(letter) = self.shards[shard].inbox.pop_front() {
            match letter {
                Letter::Deliver(to, direct, ticket, from) => {
                    let was_there = self.hand_over(shard, to, direct);
                    self.drain(shard);
                    let answer = Letter::Delivered(ticket, was_there);
                    self.shards[from].inbox.push_back(answer);
                }
                Letter::Delivered(ticket, was_there) => {
                    self.handle(shard, Input::Delivered(ticket, Ok(was_there)));
                }
            }
        }
    }

    fn write_small(&mut self, shard: usize) {
        while let Some(connection) = self.shards[shard].hub.next_dirty(Dirty::Small) {
            self.write(shard, connection);
        }
    }

    /// Gives a socket what waits for it, once.
    fn write(&mut self, shard: usize, connection: ConnectionId) {
        let Some(client) = self.client_of(connection) else {
            panic!("{connection} is to be written and is not here");
        };
        if self.clients[client].is_gone {
            return self.handle(shard, Input::Lost(connection));
        }
        let mut slices = [IoSlice::new(&[]); 16];
        let slices_max = self.rng.usize(1..=slices.len());
        let hub = &mut self.shards[shard].hub;
        let filled = hub.gather(connection, &mut slices[..slices_max]);
        let all: Vec<u8> = slices[..filled]
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        if all.is_empty() {
            return;
        }
        let client = &mut self.clients[client];
        let taken = all.len().min(client.room);
        if client.room != usize::MAX {
            client.room -= taken;
        }
        client.is_blocked = taken < all.len();
        let is_blocked = client.is_blocked;
        client.receive(&all[..taken], &self.broker.truth);
        hub.wrote(self.now, connection, taken, is_blocked);
        self.drain(shard);
    }
}
