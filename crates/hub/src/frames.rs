//! Frames that wait to be written, shared by everyone who will get them, and the 8-byte nodes that queue them.
//!
//! A frame holds ready-to-write bytes once, however many connections wait for it. An outbox is a chain of nodes;
//! each node names a frame and the next node. Nodes live in one arena and are reused through a free list.

use fanfare_protocol::{Key, Millis, Position, TopicName};
use slab::Slab;

use crate::slow_rule::SlowRule;

/// Ready-to-write bytes, counted by the nodes that name them.
struct Frame {
    bytes: Vec<u8>,
    references: u32,
    publications: u32,
    queued_at: Millis,
    expendable: Option<Box<Expendable>>,
}

/// What a frame holds whose publications may be left out, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expendable {
    pub(crate) topic: TopicName,
    /// The first of them.
    pub(crate) from: Position,
    /// The offset of the last one; all between are here.
    pub(crate) to: u64,
    /// The key, when there is only one.
    pub(crate) key: Option<Key>,
    pub(crate) rule: SlowRule,
}

impl Expendable {
    /// How many publications it is.
    pub(crate) fn count(&self) -> u64 {
        self.to - self.from.offset + 1
    }
}

/// The name of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameId(u32);

/// The name of a node, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// No node.
    pub(crate) const NONE: Self = Self(u32::MAX);

    /// Whether it names a node.
    pub(crate) fn is_some(self) -> bool {
        self != Self::NONE
    }
}

#[derive(Clone, Copy)]
struct Node {
    frame: FrameId,
    next: NodeId,
}

/// All frames and nodes of a hub.
pub(crate) struct Frames {
    frames: Slab<Frame>,
    nodes: Vec<Node>,
    free: NodeId,
    nodes_used: usize,
    bytes: usize,
}

/// What a frame is counted as.
#[derive(Clone, Copy)]
pub(crate) struct Measure {
    /// Bytes to write.
    pub(crate) bytes: u32,
    /// Publications in it; 0 for replies and control frames.
    pub(crate) publications: u32,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self {
            frames: Slab::new(),
            nodes: Vec::new(),
            free: NodeId::NONE,
            nodes_used: 0,
            bytes: 0,
        }
    }

    /// Takes `bytes` in, held once by the caller, who gives it back with [`Frames::release`].
    pub(crate) fn insert(&mut self, bytes: Vec<u8>, publications: u32, now: Millis) -> FrameId {
        self.bytes += bytes.len();
        FrameId(self.frames.insert(Frame {
            bytes,
            references: 1,
            publications,
            queued_at: now,
            expendable: None,
        }) as u32)
    }

    /// Takes in publications that may be left out. See [`Frames::insert`].
    pub(crate) fn insert_expendable(
        &mut self,
        bytes: Vec<u8>,
        expendable: Expendable,
        now: Millis,
    ) -> FrameId {
        let id = self.insert(bytes, expendable.count() as u32, now);
        self.frames[id.0 as usize].expendable = Some(Box::new(expendable));
        id
    }

    /// Gives a frame other bytes.
    pub(crate) fn set_bytes(&mut self, id: FrameId, bytes: Vec<u8>) {
        let frame = &mut self.frames[id.0 as usize];
        self.bytes = self.bytes + bytes.len() - frame.bytes.len();
        frame.bytes = bytes;
    }

    /// Whether only one holds it: whoever asks, so that no node names it.
    pub(crate) fn is_held_once(&self, id: FrameId) -> bool {
        self.frames[id.0 as usize].references == 1
    }

    /// The bytes of a frame.
    pub(crate) fn bytes_in(&self, id: FrameId) -> &[u8] {
        &self.frames[id.0 as usize].bytes
    }

    /// What a frame holds, if it may be left out.
    pub(crate) fn expendable(&self, id: FrameId) -> Option<&Expendable> {
        self.frames[id.0 as usize].expendable.as_deref()
    }

    /// When a frame was made.
    pub(crate) fn queued_at(&self, id: FrameId) -> Millis {
        self.frames[id.0 as usize].queued_at
    }

    /// Holds a frame once more.
    pub(crate) fn hold(&mut self, id: FrameId) {
        self.frames[id.0 as usize].references += 1;
    }

    /// Gives back one hold on a frame; the last one frees its bytes.
    pub(crate) fn release(&mut self, id: FrameId) {
        let frame = &mut self.frames[id.0 as usize];
        frame.references -= 1;
        if frame.references == 0 {
            self.bytes -= frame.bytes.len();
            self.frames.remove(id.0 as usize);
        }
    }

    /// A node that holds `frame`.
    pub(crate) fn node(&mut self, frame: FrameId) -> NodeId {
        self.frames[frame.0 as usize].references += 1;
        self.nodes_used += 1;
        let node = Node {
            frame,
            next: NodeId::NONE,
        };
        if self.free.is_some() {
            let id = self.free;
            self.free = self.next(id);
            self.nodes[id.0 as usize] = node;
            id
        } else {
            self.nodes.push(node);
            NodeId(self.nodes.len() as u32 - 1)
        }
    }

    /// Frees a node and its hold on its frame; gives the node behind it.
    pub(crate) fn free_node(&mut self, id: NodeId) -> NodeId {
        let Node { frame, next } = self.nodes[id.0 as usize];
        self.release(frame);
        self.nodes[id.0 as usize].next = self.free;
        self.free = id;
        self.nodes_used -= 1;
        if self.nodes_used == 0 && self.nodes.capacity() > NODES_KEPT {
            self.nodes = Vec::new();
            self.free = NodeId::NONE;
        }
        next
    }

    /// Lets a node name another frame.
    pub(crate) fn replace(&mut self, id: NodeId, frame: FrameId) {
        self.frames[frame.0 as usize].references += 1;
        let old = std::mem::replace(&mut self.nodes[id.0 as usize].frame, frame);
        self.release(old);
    }

    /// The node behind `id`.
    pub(crate) fn next(&self, id: NodeId) -> NodeId {
        self.nodes[id.0 as usize].next
    }

    /// Puts `next` behind `id`.
    pub(crate) fn link(&mut self, id: NodeId, next: NodeId) {
        self.nodes[id.0 as usize].next = next;
    }

    /// The frame that a node names.
    pub(crate) fn frame_of(&self, id: NodeId) -> FrameId {
        self.nodes[id.0 as usize].frame
    }

    /// The bytes of a node's frame.
    pub(crate) fn bytes_of(&self, id: NodeId) -> &[u8] {
        self.bytes_in(self.frame_of(id))
    }

    /// What a node's frame counts as.
    pub(crate) fn measure_of(&self, id: NodeId) -> Measure {
        self.measure(self.frame_of(id))
    }

    /// What a frame counts as.
    pub(crate) fn measure(&self, id: FrameId) -> Measure {
        let frame = &self.frames[id.0 as usize];
        Measure {
            bytes: frame.bytes.len() as u32,
            publications: frame.publications,
        }
    }

    /// Bytes of all frames held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nodes in use.
    pub(crate) fn nodes_used(&self) -> usize {
        self.nodes_used
    }
}

/// Nodes whose memory is kept when none is in use; above it, a burst's arena is given back.
const NODES_KEPT: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_lives_as_long_as_a_node_names_it() {
        let mut frames = Frames::new();
        let frame = frames.insert(vec![1, 2, 3], 1, Millis(0));
        let (first, second) = (frames.node(frame), frames.node(frame));
        frames.release(frame);
        assert_eq!(frames.bytes(), 3);
        frames.free_node(first);
        assert_eq!(frames.bytes_of(second), [1, 2, 3]);
        frames.free_node(second);
        assert_eq!((frames.bytes(), frames.nodes_used()), (0, 0));
    }

    #[test]
    fn nodes_are_reused_and_a_burst_is_given_back() {
        let mut frames = Frames::new();
        let frame = frames.insert(vec![0], 1, Millis(0));
        let nodes: Vec<_> = (0..=NODES_KEPT).map(|_| frames.node(frame)).collect();
        for node in nodes {
            frames.free_node(node);
        }
        assert_eq!(frames.nodes.capacity(), 0);
        let node = frames.node(frame);
        frames.free_node(node);
        assert_eq!(frames.node(frame), node);
    }
}
