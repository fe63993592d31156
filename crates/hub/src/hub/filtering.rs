//! Members that want some publications of a topic, by their tags.

use std::sync::Arc;

use fanfare_protocol::dialect::Dialect;
use fanfare_protocol::{Publication, TagFilter, TopicName, Wanted};

use super::Hub;
use super::fan_out::list_of;
use crate::Dirty;
use crate::frames::FrameId;
use crate::session::FILTERED;
use crate::topic::Member;

impl Hub {
    /// Keeps what a client wants of topics that it is about to subscribe to. What it wants of those that it has stays, and what
    /// it wanted of those that it was refused goes.
    pub(super) fn keep_filter(&mut self, slot: usize, topics: &[Wanted<'_>], filter: Option<Arc<TagFilter>>) {
        let Some(session) = &mut self.sessions[slot] else {
            return;
        };
        if let Some(mut filters) = session.filters.take() {
            let has = |topic: &TopicName| {
                let index = self.names.get(topic);
                index.is_some_and(|&index| session.subscription(index).is_some())
            };
            filters.retain(|(topic, _)| has(topic));
            session.filters = Some(filters).filter(|filters| !filters.is_empty());
        }
        let Some(filter) = filter else {
            return;
        };
        for Wanted { topic, .. } in topics {
            let index = self.names.get(&**topic);
            let is_new = index.is_none_or(|&index| session.subscription(index).is_none());
            if let Ok(topic) = TopicName::parse(topic)
                && is_new
            {
                let filters = session.filters.get_or_insert_default();
                filters.push((topic, Arc::clone(&filter)));
            }
        }
    }

    /// Queues what a topic gathered for those who want some of it.
    pub(super) fn fan_out_filtered(&mut self, index: u32, batch: &[Arc<Publication>]) {
        if self.topics[index as usize].audiences[FILTERED].is_empty() {
            return;
        }
        let members = std::mem::take(&mut self.topics[index as usize].audiences[FILTERED]);
        let list = list_of(&members);
        for publication in batch {
            self.push_filtered(index, publication, (&members, list));
        }
        self.topics[index as usize].audiences[FILTERED] = members;
    }

    fn push_filtered(
        &mut self,
        index: u32,
        publication: &Arc<Publication>,
        (members, list): (&[Member], Dirty),
    ) {
        let mut encoded = [None::<FrameId>; Dialect::ALL.len()];
        for member in members {
            let slot = member.slot();
            let Some(session) = self.sessions[slot]
                .as_ref()
                .filter(|session| session.wants(publication))
            else {
                continue;
            };
            let dialect = session.dialect;
            if !dialect.carries(publication.draft.payload.kind()) {
                self.unable.push(slot as u32);
                continue;
            }
            let frame = *encoded[dialect.index()].get_or_insert_with(|| {
                self.encode_apart(index, publication, |bytes| {
                    dialect.encode_publication(publication, bytes);
                })
            });
            self.push_apart(slot, frame, list);
        }
        for frame in encoded.into_iter().flatten() {
            self.frames.release(frame);
        }
    }
}
