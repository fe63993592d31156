//! A client of Fanfare's json dialect.
