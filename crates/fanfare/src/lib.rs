//! A real-time messaging hub to mount in an axum application: topics over WebSocket, in order, to nobody's delay.
