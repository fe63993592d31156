//! The WebSocket codec through its public API: what the RFC asks, byte by byte, and what another codec makes of the
//! same bytes.

mod agreement;
mod compression;
mod conversations;
mod cuts;
mod decoded;
mod faults;
mod judge;
mod memory;
mod round_trip;
mod rules;
mod stream;
