//! What the server does not do yet. Whoever makes it do one of these takes it off the list, and has its story told as it
//! should go.

/// Something that is done otherwise by Centrifugo.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NotYet {
    /// A call is answered with 108 where there are no procedures at all, not with 104.
    CallWithoutProcedures,
    /// Who is the first in a channel is told of the one that comes next, and not only that it goes.
    JoinBehindTheFirst,
}

impl NotYet {
    /// Holds what happened against what should happen and what does.
    pub(crate) fn is(self, is_done: bool, is_as_before: bool) {
        assert!(!is_done, "{self:?} is done, so it is to be expected from now on");
        assert!(is_as_before, "{self:?} is not done, nor is it as it was");
    }
}
