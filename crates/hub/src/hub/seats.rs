//! Where the members of a topic sit: in the audience of their format, at a pace of their own, with ids of their own, or
//! silent.

use fanfare_protocol::Millis;

use super::Hub;
use super::timers::Watched;
use crate::session::{DELTAS, FILTERED, Manner, NUMBERED, PACED, SILENT, Seat};
use crate::topic::{Member, Wants};

impl Hub {
    /// Gives a member at a pace of its own what it waits for, before it is told a position. That may close it.
    pub(super) fn catch_up(&mut self, slot: usize, index: u32) {
        let seat = self.sessions[slot]
            .as_mut()
            .and_then(|session| session.seat(index));
        if let Some(&mut seat) = seat.filter(|seat| usize::from(seat.audience) == PACED) {
            self.serve_now(index, seat.at);
        }
    }

    /// Gives a member its topic at another pace, or at once. None if it is a member no more.
    pub(super) fn reseat(&mut self, slot: usize, index: u32, manner: Manner) -> Option<()> {
        let seat = *self.sessions[slot].as_mut()?.seat(index)?;
        let is_paced = usize::from(seat.audience) == PACED;
        let is_delta = usize::from(seat.audience) == DELTAS;
        let is_filtered = usize::from(seat.audience) == FILTERED;
        match manner {
            Manner::Every(every) if is_paced => self.set_pace(index, seat.at, every),
            Manner::AtOnce if !is_paced && !is_delta && !is_filtered => {}
            Manner::Deltas if is_delta => {}
            Manner::Filtered if is_filtered => {}
            _ => {
                let wants = self.vacate_seat(index, seat).wants();
                let seat = self.new_seat(slot, index, manner)?;
                *self.sessions[slot].as_mut()?.seat(index)? = seat;
                let audience = &mut self.topics[index as usize].audiences[usize::from(seat.audience)];
                let member = &mut audience[seat.at as usize];
                *member = member.wanting(wants);
            }
        }
        Some(())
    }

    /// A seat at the end of the audience that a connection belongs to.
    pub(super) fn new_seat(&mut self, slot: usize, index: u32, manner: Manner) -> Option<Seat> {
        let audience = match self.sessions[slot].as_ref()?.audience() {
            SILENT => SILENT,
            _ if self.is_numbered(slot, index) => NUMBERED,
            of_format => of_format,
        };
        let (audience, at) = match manner {
            Manner::Every(every) if audience != SILENT => (PACED, self.seat_paced(index, slot, every)),
            _ => {
                let audience = match manner {
                    Manner::Deltas if audience != SILENT => DELTAS,
                    Manner::Filtered if audience != SILENT => FILTERED,
                    _ => audience,
                };
                let members = &mut self.topics[index as usize].audiences[audience];
                members.push(Member::new(slot, Wants::default()));
                (audience, members.len() as u32 - 1)
            }
        };
        Some(Seat {
            audience: audience as u8,
            at,
        })
    }

    /// Takes a member out of its audience, and gives it. The last one there takes its seat.
    pub(super) fn vacate_seat(&mut self, index: u32, seat: Seat) -> Member {
        let audience = usize::from(seat.audience);
        let members = &mut self.topics[index as usize].audiences[audience];
        let removed = members.swap_remove(seat.at as usize);
        let moved = members.get(seat.at as usize).copied();
        if members.capacity() > 64 && members.len() < members.capacity() / 4 {
            members.shrink_to(members.len() * 2);
        }
        if audience == PACED {
            self.unseat_paced(index, seat.at);
        }
        if let Some(moved) = moved
            && let Some(session) = &mut self.sessions[moved.slot()]
            && let Some(place) = session.seat(index)
        {
            *place = seat;
        }
        removed
    }

    /// Has a member told from now on what it wants to be told beside publications.
    pub(super) fn set_wants(&mut self, slot: usize, index: u32, wants: Wants) {
        let Some(session) = self.sessions[slot].as_mut() else {
            return;
        };
        let (connection, is_hailed) = (session.connection, session.dialect.is_hailed());
        let Some(&mut seat) = session.seat(index) else {
            return;
        };
        let topic = &mut self.topics[index as usize];
        let place = &mut topic.audiences[usize::from(seat.audience)][seat.at as usize];
        let before = std::mem::replace(place, place.wanting(wants));
        topic.count_wants(before.wants(), wants);
        if wants.occupancy {
            topic.occupancy = UNKNOWN_OCCUPANCY;
        }
        let mut is_from_now = false;
        if let Some(survey) = topic.survey.as_mut().filter(|_| wants.presence) {
            if is_hailed {
                // It is told of those who come from now on, beginning with itself.
                is_from_now = survey.is_new();
                survey.first.extend(is_from_now.then_some(connection));
            } else {
                survey.newcomers.push(connection);
            }
        }
        if (wants.occupancy || wants.presence) && !std::mem::replace(&mut topic.is_watched, true) {
            let serial = topic.serial;
            self.forget_watched();
            self.watched.push_front(Watched {
                index,
                serial,
                due_at: Millis::default(),
            });
        }
        if is_from_now {
            // It is there itself first: of a topic without anybody there is no roster to begin with.
            self.report();
            self.survey(index);
        }
    }

    /// Drops topics that are no more from the list of watched ones when they may be most of it: topics that come and go
    /// faster than the list is gone through would make it grow without bound.
    fn forget_watched(&mut self) {
        if self.watched.len() > 2 * self.names.len() {
            let topics = &self.topics;
            self.watched.retain(|watched| {
                let topic = topics.get(watched.index as usize);
                topic.is_some_and(|topic| topic.serial == watched.serial)
            });
        }
    }
}

/// Different from any number of subscribers: the next count is pushed whatever it is.
const UNKNOWN_OCCUPANCY: u64 = u64::MAX;
