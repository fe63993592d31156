//! What waits to be written to one connection: two lanes of nodes over shared frames, within one cache line.
//!
//! Replies and control frames go ahead of publications. A frame that the socket took in part is finished first.

use std::io::IoSlice;

use fanfare_protocol::Millis;

use crate::frames::{FrameId, Frames, Measure, NodeId};
use crate::limits::OutboxBounds;

/// Which lane a frame waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Replies, pongs and pings: ahead of everything.
    Control,
    /// Publications, and what must not overtake them: where they begin and end, occupancy, goodbye.
    Data,
}

/// In which list of connections to write this one stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirtyMark {
    Clean,
    Small,
    Big,
}

/// What becomes of a waiting publication. See [`Outbox::sift`].
pub(crate) enum Fate {
    /// It goes on waiting.
    Stays,
    /// It is left out; a notice may take its place.
    IsLeftOut(Option<FrameId>),
    /// It and all behind it go on waiting.
    EndsHere,
}

#[derive(Clone, Copy)]
struct Chain {
    head: NodeId,
    tail: NodeId,
}

impl Chain {
    const EMPTY: Self = Self {
        head: NodeId::NONE,
        tail: NodeId::NONE,
    };

    fn push(&mut self, node: NodeId, frames: &mut Frames) {
        if self.head.is_some() {
            frames.link(self.tail, node);
        } else {
            self.head = node;
        }
        self.tail = node;
    }

    /// Lets `node` follow on `before`, which may be none for the beginning.
    fn relink(&mut self, before: NodeId, node: NodeId, frames: &mut Frames) {
        if before.is_some() {
            frames.link(before, node);
        } else {
            self.head = node;
        }
        if !node.is_some() {
            self.tail = before;
        }
    }
}

/// The outbox of one connection. Empty, it holds nothing outside itself.
pub(crate) struct Outbox {
    control: Chain,
    data: Chain,
    /// Publications waiting.
    publications: u32,
    /// The second in which it was last sampled.
    sampled_s: u32,
    /// Publications waiting that may be left out, the started one included.
    expendables: u32,
    /// Bytes waiting in the data lane, the started frame's included.
    data_bytes: u32,
    /// Bytes waiting in the control lane, the started frame's included.
    control_bytes: u32,
    /// Bytes waiting in the data lane that are not publications, the started frame's included.
    data_reply_bytes: u32,
    /// Bytes of the started frame that the socket has taken.
    started_bytes: u32,
    /// The lane that the started frame heads, when `started_bytes` is not 0.
    started_lane: Lane,
    /// The pong that waits, if one does.
    pong: NodeId,
    /// The list it stands in.
    pub(crate) mark: DirtyMark,
    /// Whether the socket last took less than it was given.
    pub(crate) is_blocked: bool,
    /// Whether the session waits for its last bytes to be written.
    pub(crate) is_closing: bool,
    /// Whether the connection is not read from until its replies are drained.
    pub(crate) is_paused: bool,
    /// Whether the session reads history, and is to read on when little waits.
    pub(crate) is_catching_up: bool,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self {
            control: Chain::EMPTY,
            data: Chain::EMPTY,
            publications: 0,
            sampled_s: 0,
            expendables: 0,
            data_bytes: 0,
            control_bytes: 0,
            data_reply_bytes: 0,
            started_bytes: 0,
            started_lane: Lane::Data,
            pong: NodeId::NONE,
            mark: DirtyMark::Clean,
            is_blocked: false,
            is_closing: false,
            is_paused: false,
            is_catching_up: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.control.head.is_some() && !self.data.head.is_some()
    }

    /// Publications waiting.
    pub(crate) fn publications(&self) -> u32 {
        self.publications
    }

    /// Whether some that wait may be left out.
    pub(crate) fn has_expendables(&self) -> bool {
        self.expendables > 0
    }

    /// Bytes waiting in both lanes.
    pub(crate) fn bytes(&self) -> u32 {
        self.data_bytes + self.control_bytes - self.started_bytes
    }

    /// Bytes of replies, pushes and control frames waiting in either lane.
    pub(crate) fn reply_bytes(&self) -> u32 {
        self.control_bytes + self.data_reply_bytes
    }

    /// Whether so much more may wait. Only a socket that has refused bytes can be behind: the others are written before
    /// more is taken in than they may hold (see [`crate::Hub::is_pressed`]).
    pub(crate) fn has_room(&self, publications: usize, bytes: usize, bounds: OutboxBounds) -> bool {
        !self.is_blocked
            || (self.publications as usize + publications <= bounds.frames_max
                && self.data_bytes as usize + bytes <= bounds.bytes_max)
    }

    /// Whether it is to be sampled: once in every second.
    pub(crate) fn is_sampled(&mut self, now: Millis) -> bool {
        let second = (now.0 / 1_000) as u32;
        std::mem::replace(&mut self.sampled_s, second) != second
    }

    /// Since when the oldest publication waits of which the socket has taken nothing.
    pub(crate) fn oldest(&self, frames: &Frames) -> Option<Millis> {
        let (_, mut node) = self.first_unstarted(frames);
        while node.is_some() && frames.measure_of(node).publications == 0 {
            node = frames.next(node);
        }
        node.is_some().then(|| frames.queued_at(frames.frame_of(node)))
    }

    /// The first node of the data lane of which the socket has taken nothing, and the one before it.
    fn first_unstarted(&self, frames: &Frames) -> (NodeId, NodeId) {
        let head = self.data.head;
        if self.started_bytes > 0 && self.started_lane == Lane::Data {
            (head, frames.next(head))
        } else {
            (NodeId::NONE, head)
        }
    }

    /// The frame that the socket has taken a part of.
    pub(crate) fn started(&self, frames: &Frames) -> Option<FrameId> {
        let head = match self.started_lane {
            Lane::Control => self.control.head,
            Lane::Data => self.data.head,
        };
        (self.started_bytes > 0).then(|| frames.frame_of(head))
    }

    /// Puts a frame at the end of a lane.
    pub(crate) fn push(&mut self, lane: Lane, frame: FrameId, frames: &mut Frames) {
        let measure = frames.measure(frame);
        let node = frames.node(frame);
        match lane {
            Lane::Control => {
                self.control_bytes += measure.bytes;
                self.control.push(node, frames);
            }
            Lane::Data => {
                self.data_bytes += measure.bytes;
                self.data_reply_bytes += reply_bytes(measure);
                self.publications += measure.publications;
                self.expendables += u32::from(frames.expendable(frame).is_some());
                self.data.push(node, frames);
            }
        }
    }

    /// Puts a pong at the end of the control lane or, when the socket is blocked, in the place of the one that waits.
    pub(crate) fn push_pong(&mut self, frame: FrameId, frames: &mut Frames) {
        let is_started = self.started_bytes > 0 && self.control.head == self.pong;
        if self.is_blocked && self.pong.is_some() && !is_started {
            self.control_bytes -= frames.measure_of(self.pong).bytes;
            frames.replace(self.pong, frame);
            self.control_bytes += frames.measure_of(self.pong).bytes;
        } else {
            self.push(Lane::Control, frame, frames);
            self.pong = self.control.tail;
        }
    }

    /// Lends the bytes to write next, in order; gives how many slices it filled.
    pub(crate) fn gather<'a>(&self, frames: &'a Frames, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let mut skip = self.started_bytes as usize;
        let mut cursor = self.cursor();
        while filled < slices.len()
            && let Some((_, node)) = cursor.next(frames)
        {
            slices[filled] = IoSlice::new(&frames.bytes_of(node)[skip..]);
            skip = 0;
            filled += 1;
        }
        filled
    }

    /// Frees what the socket took.
    pub(crate) fn wrote(&mut self, bytes: usize, frames: &mut Frames) {
        let mut left = bytes;
        while let Some((lane, node)) = self.cursor().next(frames) {
            let rest = frames.bytes_of(node).len() - self.started_bytes as usize;
            if left < rest {
                self.started_bytes += left as u32;
                self.started_lane = lane;
                return;
            }
            left -= rest;
            self.pop(lane, frames);
        }
        debug_assert_eq!(left, 0, "a socket takes no more than it is given");
    }

    /// Gives other bytes to a frame of the data lane that is no publication and that the socket has taken nothing of.
    pub(crate) fn resize(&mut self, frame: FrameId, bytes: Vec<u8>, frames: &mut Frames) {
        let before = frames.measure(frame).bytes;
        frames.set_bytes(frame, bytes);
        let after = frames.measure(frame).bytes;
        self.data_bytes = self.data_bytes - before + after;
        self.data_reply_bytes = self.data_reply_bytes - before + after;
    }

    /// Goes through the data lane, oldest first. The frame that the socket has taken a part of is not among those that it
    /// passes. Only what is expendable may be left out. Costs a step per frame.
    pub(crate) fn sift(
        &mut self,
        frames: &mut Frames,
        mut fate: impl FnMut(&Self, FrameId, &mut Frames) -> Fate,
    ) {
        let (mut before, mut node) = self.first_unstarted(frames);
        while node.is_some() {
            let frame = frames.frame_of(node);
            match fate(self, frame, frames) {
                Fate::EndsHere => return,
                Fate::Stays => (before, node) = (node, frames.next(node)),
                Fate::IsLeftOut(notice) => {
                    self.uncount(frame, frames);
                    if let Some(notice) = notice {
                        frames.replace(node, notice);
                        (before, node) = (node, frames.next(node));
                    } else {
                        node = frames.free_node(node);
                        self.data.relink(before, node, frames);
                    }
                }
            }
        }
    }

    /// The last frame of the data lane.
    pub(crate) fn last(&self, frames: &Frames) -> Option<FrameId> {
        let tail = self.data.tail;
        (tail.is_some()).then(|| frames.frame_of(tail))
    }

    /// Throws away what waits in the data lane, except a frame that the socket has begun to take.
    pub(crate) fn clear_data(&mut self, frames: &mut Frames) {
        let keep = self.started_bytes > 0 && self.started_lane == Lane::Data;
        let Chain { head, .. } = std::mem::replace(&mut self.data, Chain::EMPTY);
        (self.data_bytes, self.data_reply_bytes) = (0, 0);
        (self.publications, self.expendables) = (0, 0);
        let mut node = head;
        if keep {
            let measure = frames.measure_of(head);
            self.data_bytes = measure.bytes;
            self.data_reply_bytes = reply_bytes(measure);
            self.publications = measure.publications;
            self.expendables = u32::from(frames.expendable(frames.frame_of(head)).is_some());
            node = frames.next(head);
            frames.link(head, NodeId::NONE);
            self.data = Chain { head, tail: head };
        }
        while node.is_some() {
            node = frames.free_node(node);
        }
    }

    /// Throws everything away.
    pub(crate) fn clear(&mut self, frames: &mut Frames) {
        self.started_bytes = 0;
        self.clear_data(frames);
        let Chain { head: mut node, .. } = std::mem::replace(&mut self.control, Chain::EMPTY);
        (self.control_bytes, self.pong) = (0, NodeId::NONE);
        while node.is_some() {
            node = frames.free_node(node);
        }
    }

    fn pop(&mut self, lane: Lane, frames: &mut Frames) {
        let chain = match lane {
            Lane::Control => &mut self.control,
            Lane::Data => &mut self.data,
        };
        let node = chain.head;
        let frame = frames.frame_of(node);
        if node == self.pong && lane == Lane::Control {
            self.pong = NodeId::NONE;
        }
        chain.head = frames.next(node);
        if lane == Lane::Control {
            self.control_bytes -= frames.measure(frame).bytes;
        } else {
            self.uncount(frame, frames);
        }
        frames.free_node(node);
        self.started_bytes = 0;
    }

    /// A frame of the data lane waits no longer.
    fn uncount(&mut self, frame: FrameId, frames: &Frames) {
        let measure = frames.measure(frame);
        self.data_bytes -= measure.bytes;
        self.data_reply_bytes -= reply_bytes(measure);
        self.publications -= measure.publications;
        self.expendables -= u32::from(frames.expendable(frame).is_some());
    }

    /// The order of writing: a started frame of the data lane, the control lane, the rest of the data lane.
    fn cursor(&self) -> Cursor {
        let starts_with_data = self.started_bytes > 0 && self.started_lane == Lane::Data;
        Cursor {
            starts_with_data,
            control: self.control.head,
            data: self.data.head,
        }
    }
}

/// The bytes of a frame of the data lane, if it is a reply or a push.
fn reply_bytes(measure: Measure) -> u32 {
    if measure.publications == 0 {
        measure.bytes
    } else {
        0
    }
}

struct Cursor {
    starts_with_data: bool,
    control: NodeId,
    data: NodeId,
}

impl Cursor {
    fn next(&mut self, frames: &Frames) -> Option<(Lane, NodeId)> {
        let takes_control = self.control.is_some() && !std::mem::take(&mut self.starts_with_data);
        let (lane, place) = if takes_control {
            (Lane::Control, &mut self.control)
        } else {
            (Lane::Data, &mut self.data)
        };
        let node = *place;
        if !node.is_some() {
            return None;
        }
        *place = frames.next(node);
        Some((lane, node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(outbox: &mut Outbox, frames: &mut Frames, lane: Lane, text: &str) {
        let frame = frames.insert(text.as_bytes().to_vec(), u32::from(lane == Lane::Data), Millis(0));
        outbox.push(lane, frame, frames);
        frames.release(frame);
    }

    fn waiting(outbox: &Outbox, frames: &Frames) -> String {
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = outbox.gather(frames, &mut slices);
        slices[..filled]
            .iter()
            .map(|slice| std::str::from_utf8(slice).unwrap())
            .collect::<Vec<_>>()
            .join("|")
    }

    #[test]
    fn it_stays_within_a_cache_line() {
        assert!(size_of::<Outbox>() <= 64, "{}", size_of::<Outbox>());
    }

    #[test]
    fn replies_overtake_publications_but_not_a_started_one() {
        let (mut outbox, mut frames) = (Outbox::new(), Frames::new());
        push(&mut outbox, &mut frames, Lane::Data, "abc");
        push(&mut outbox, &mut frames, Lane::Data, "def");
        outbox.wrote(1, &mut frames);
        push(&mut outbox, &mut frames, Lane::Control, "xy");
        assert_eq!(waiting(&outbox, &frames), "bc|xy|def");
        outbox.wrote(3, &mut frames);
        push(&mut outbox, &mut frames, Lane::Control, "z");
        assert_eq!(waiting(&outbox, &frames), "y|z|def");
        assert_eq!((outbox.bytes(), outbox.publications()), (5, 1));
        outbox.wrote(5, &mut frames);
        assert!(outbox.is_empty());
        assert_eq!((outbox.bytes(), outbox.publications(), frames.bytes()), (0, 0, 0));
    }

    #[test]
    fn one_pong_waits_for_a_blocked_socket_and_it_is_the_latest() {
        let (mut outbox, mut frames) = (Outbox::new(), Frames::new());
        let pong = |outbox: &mut Outbox, frames: &mut Frames, text: &str| {
            let frame = frames.insert(text.as_bytes().to_vec(), 0, Millis(0));
            outbox.push_pong(frame, frames);
            frames.release(frame);
        };
        pong(&mut outbox, &mut frames, "p1");
        pong(&mut outbox, &mut frames, "p2");
        assert_eq!(
            waiting(&outbox, &frames),
            "p1|p2",
            "an open socket gets every pong"
        );
        outbox.is_blocked = true;
        outbox.wrote(3, &mut frames);
        pong(&mut outbox, &mut frames, "p3");
        pong(&mut outbox, &mut frames, "p4x");
        pong(&mut outbox, &mut frames, "p5");
        assert_eq!(waiting(&outbox, &frames), "2|p5");
        outbox.wrote(3, &mut frames);
        assert_eq!((outbox.bytes(), frames.bytes(), frames.nodes_used()), (0, 0, 0));
    }

    #[test]
    fn clearing_keeps_the_started_frame_whole() {
        let (mut outbox, mut frames) = (Outbox::new(), Frames::new());
        for text in ["abc", "def", "ghi"] {
            push(&mut outbox, &mut frames, Lane::Data, text);
        }
        outbox.wrote(4, &mut frames);
        outbox.clear_data(&mut frames);
        push(&mut outbox, &mut frames, Lane::Data, "bye");
        assert_eq!(waiting(&outbox, &frames), "ef|bye");
        assert_eq!(outbox.publications(), 2);
        outbox.clear(&mut frames);
        assert!(outbox.is_empty());
        assert_eq!((frames.bytes(), frames.nodes_used()), (0, 0));
    }

    #[test]
    fn everything_written_in_any_pieces_is_in_order() {
        for step in 1..7 {
            let (mut outbox, mut frames) = (Outbox::new(), Frames::new());
            for text in ["abc", "d", "efgh"] {
                push(&mut outbox, &mut frames, Lane::Data, text);
            }
            let mut written = String::new();
            while !outbox.is_empty() {
                let all = waiting(&outbox, &frames).replace('|', "");
                let taken = step.min(all.len());
                written.push_str(&all[..taken]);
                outbox.wrote(taken, &mut frames);
            }
            assert_eq!(written, "abcdefgh");
        }
    }
}
