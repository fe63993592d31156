//! In a build without the feature `tls` no connection has one.

use std::io::{self, IoSlice, Read, Write};

use crate::shard::Written;

/// The buffers that nothing uses.
#[derive(Default)]
pub(crate) struct Records {
    pub(crate) opened: Vec<u8>,
}

/// What does not exist.
pub(crate) enum Session {}

impl Session {
    pub(crate) fn is_peer_closed(&self) -> bool {
        match *self {}
    }

    pub(crate) fn partial_bytes(&self) -> usize {
        match *self {}
    }

    pub(crate) fn waiting_bytes(&self) -> usize {
        match *self {}
    }

    pub(crate) fn read(
        &mut self,
        _: &mut impl Read,
        _: (&mut [u8], usize),
        _: &mut Vec<u8>,
    ) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn write(
        &mut self,
        _: &mut impl Write,
        _: &[IoSlice<'_>],
        _: &mut Records,
    ) -> io::Result<Written> {
        match *self {}
    }

    pub(crate) fn close(&mut self, _: &mut impl Write) {
        match *self {}
    }

    pub(crate) fn abandon(&mut self) {
        match *self {}
    }
}
