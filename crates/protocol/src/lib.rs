//! The words and the wire of Fanfare: topics, publications, commands, codes, the WebSocket codec and the client dialects; no I/O, no clock.

pub mod websocket;
