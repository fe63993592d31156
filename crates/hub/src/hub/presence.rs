//! Who is in a topic: what the broker is told of it, what clients ask, and what they are told unasked, at most once a
//! second however many come and go.

use fanfare_protocol::codes::ErrorCode;
use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{
    Attendance, CommandId, ConnectionId, PRESENCE_PAGE_MAX, PresenceDiff, PresencePage, Present, Push,
    Rejection, Reply, TopicName,
};

use super::Hub;
use crate::access::{Action, Verdict};
use crate::ask::{Question, Suspended};
use crate::outbox::Lane;
use crate::roster::{Attendee, Change, RosterDiff, RosterPage};
use crate::topic::{Member, Topic};
use crate::{Asked, Output, Role, Ticket, WantedTopic};

/// A look at who is in a topic.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    /// Whom the page begins behind.
    pub(crate) after: Option<ConnectionId>,
    /// How many at most; 0 only counts.
    pub(crate) limit: u32,
}

impl Look {
    /// One that only counts.
    pub(crate) const COUNT: Self = Self {
        after: None,
        limit: 0,
    };
}

impl Hub {
    /// Somebody has become a subscriber.
    pub(super) fn note_coming(&mut self, slot: usize, index: u32) {
        let topic = &mut self.topics[index as usize];
        if topic.is_tracked
            && let Some(session) = &self.sessions[slot]
            && session.role == Role::Subscriber
        {
            topic.changes.push(Change::Came(Attendee {
                connection: session.connection,
                identity: session.identity.clone(),
                topic_info: session.topic_info(&topic.name).cloned(),
                since: self.now.wall,
            }));
        }
    }

    /// A subscriber is one no more.
    pub(super) fn note_going(topic: &mut Topic, connection: ConnectionId) {
        if topic.is_tracked {
            topic.changes.push(Change::Went(connection));
        }
    }

    /// Somebody may be seen otherwise in a topic from now on.
    pub(super) fn note_change_in(&mut self, slot: usize, index: u32) {
        if self.topics[index as usize].is_tracked {
            self.note_coming(slot, index);
            self.report_later(index);
        }
    }

    /// Somebody is seen as somebody else from now on.
    pub(super) fn note_change(&mut self, slot: usize) {
        let Some(session) = &self.sessions[slot] else {
            return;
        };
        let subscribed = session.subscriptions.iter().filter(|s| s.is_subscriber());
        let topics: Vec<u32> = subscribed.map(|s| s.topic).collect();
        for index in topics {
            self.note_coming(slot, index);
            self.report_later(index);
        }
    }

    /// Keeps from now on who is in a topic, or no more.
    pub(super) fn track(&mut self, index: u32, is_tracked: bool) {
        let topic = &mut self.topics[index as usize];
        if topic.is_tracked == is_tracked {
            return;
        }
        let members = topic.audiences.members();
        let mut slots: Vec<usize> = members.map(|member| member.slot()).collect();
        slots.extend(self.comers_of(index));
        let topic = &mut self.topics[index as usize];
        topic.is_tracked = true;
        for slot in slots {
            if is_tracked {
                self.note_coming(slot, index);
            } else if let Some(session) = &self.sessions[slot] {
                Self::note_going(&mut self.topics[index as usize], session.connection);
            }
        }
        self.topics[index as usize].is_tracked = is_tracked;
        self.report_later(index);
    }

    /// A topic of which it cannot be told who is there, or not to this client, and what it is answered.
    pub(super) fn refuses_presence(
        &self,
        slot: usize,
        id: Option<&CommandId>,
        topics: &[WantedTopic],
    ) -> Option<Rejection> {
        topics.iter().find_map(|WantedTopic { topic, .. }| {
            if !self.rules.keeps_presence_of(topic) {
                return Some(not_kept(id.cloned(), topic));
            }
            let may_see = self.may_as_subscriber(slot, Action::Presence, topic);
            (!may_see).then(|| {
                let message = format!("presence {topic:?} is not allowed to this client");
                Rejection::new(id.cloned(), ErrorCode::Forbidden, message)
            })
        })
    }

    /// A client wants to know who is in a topic, and is told if it may.
    pub(super) fn presence_by_rules(
        &mut self,
        slot: usize,
        id: Option<CommandId>,
        topic: TopicName,
        look: Look,
    ) {
        match self.verdict(slot, Action::Presence, &topic) {
            Verdict::Allowed => self.presence(slot, id, topic, look),
            Verdict::Denied => self.forbid(slot, id, Action::Presence, &topic),
            Verdict::Ask => {
                let question = Question::Inspect {
                    action: Action::Presence,
                    topic: topic.clone(),
                };
                self.ask(slot, Suspended::Presence { id, topic, look }, question);
            }
        }
    }

    /// Looks who is in a topic for a client.
    pub(super) fn presence(&mut self, slot: usize, id: Option<CommandId>, topic: TopicName, look: Look) {
        if !self.rules.keeps_presence_of(&topic) {
            return self.reject(slot, not_kept(id, &topic));
        }
        // Who came and went before this command is counted.
        self.report();
        let Some(session) = &self.sessions[slot] else {
            return;
        };
        let ticket = Ticket {
            connection: session.connection,
            id,
            asked: if look.limit == 0 {
                Asked::Attendance
            } else {
                Asked::Presence
            },
        };
        self.outputs.push_back(Output::Roster {
            topic,
            after: look.after,
            count: look.limit as usize,
            ticket,
        });
    }

    /// The broker told who is there.
    pub(super) fn roster_told(&mut self, ticket: &Ticket, topic: TopicName, page: RosterPage) {
        if let Some(slot) = self.open_slot_of(ticket.connection) {
            let reply = match ticket.asked {
                Asked::Attendance => Reply::Attendance {
                    topic,
                    attendance: page.attendance,
                },
                Asked::Presence | Asked::Publish | Asked::Send => Reply::Presence(presence_page(topic, page)),
            };
            self.reply_to(slot, Lane::Control, ticket.id.as_ref(), &reply);
        }
    }

    /// Asks what has changed in a topic of which somebody wants to be told.
    pub(super) fn survey(&mut self, index: u32) {
        let topic = &self.topics[index as usize];
        if let Some(survey) = &topic.survey {
            self.outputs.push_back(Output::Survey {
                topic: topic.name.clone(),
                since: survey.version,
                all: !survey.newcomers.is_empty(),
            });
        }
    }

    /// What has changed in a topic: those who watch are told that, and those who have just begun to are told everyone.
    pub(super) fn surveyed(&mut self, name: &TopicName, mut diff: RosterDiff) {
        let Some(&index) = self.names.get(name) else {
            return;
        };
        let topic = &mut self.topics[index as usize];
        let Some(survey) = &mut topic.survey else {
            return;
        };
        survey.version = diff.version;
        let first = std::mem::take(&mut survey.first);
        let mut newcomers: Vec<usize> = std::mem::take(&mut survey.newcomers)
            .into_iter()
            .filter_map(|connection| self.open_slot_of(connection))
            .collect();
        newcomers.sort_unstable();
        let is_new = |member: Member| newcomers.binary_search(&member.slot()).is_ok();
        if let Some(page) = diff.everyone.take() {
            let push = Push::Members(presence_page(name.clone(), page));
            self.tell(index, &push, |member| diff.is_lost || is_new(member));
        }
        let has_changed = !diff.came.is_empty() || !diff.went.is_empty();
        if !diff.is_lost && has_changed {
            let push = Push::Attendance(PresenceDiff {
                topic: name.clone(),
                attendance: diff.attendance,
                came: diff.came.iter().map(Present::from).collect(),
                went: diff.went.iter().map(Present::from).collect(),
            });
            self.tell(index, &push, |member| !is_new(member));
        }
        for connection in first {
            self.tell_of_itself(connection, index, diff.attendance);
        }
        self.disconnect_overflowed();
    }

    /// Tells one who wants to know who comes and goes that it has come itself, if it is still there.
    fn tell_of_itself(&mut self, connection: ConnectionId, index: u32, attendance: Attendance) {
        let Some(slot) = self.open_slot_of(connection) else {
            return;
        };
        let Some(session) = self.sessions[slot].as_mut() else {
            return;
        };
        let topic = &self.topics[index as usize];
        let seat = session.seat(index);
        let member = seat.map(|seat| topic.audiences[usize::from(seat.audience)][seat.at as usize]);
        if !member.is_some_and(|member| member.wants().presence) {
            return;
        }
        let itself = Attendee {
            connection,
            identity: session.identity.clone(),
            topic_info: session.topic_info(&topic.name).cloned(),
            since: self.now.wall,
        };
        let push = Push::Attendance(PresenceDiff {
            topic: topic.name.clone(),
            attendance,
            came: vec![Present::from(&itself)],
            went: Vec::new(),
        });
        self.push_to(slot, Lane::Data, &push);
    }

    /// Tells those who want to know who is there, or some of them.
    fn tell(&mut self, index: u32, push: &Push, is_meant: impl Fn(Member) -> bool) {
        for &dialect in Dialect::ALL {
            self.push_to_members(index, dialect, push, |member| {
                member.wants().presence && is_meant(member)
            });
        }
    }
}

fn presence_page(topic: TopicName, page: RosterPage) -> PresencePage {
    PresencePage {
        topic,
        attendance: page.attendance,
        members: page.members.iter().map(Present::from).collect(),
        next: page.next,
    }
}

fn not_kept(id: Option<CommandId>, topic: &TopicName) -> Rejection {
    let message = format!("it is not kept who is in {topic:?}, its rule would have to say so");
    Rejection::new(id, ErrorCode::NotAvailable, message)
}

/// Members that are told at once when somebody begins to watch.
pub const SURVEY_PAGE: usize = PRESENCE_PAGE_MAX as usize;
