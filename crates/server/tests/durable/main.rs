//! What durable topics must survive, told to the real program: that the process ends, that the disk is full or fails,
//! that files are not as they were written.
//!
//! | row | fault | told in |
//! |---|---|---|
//! | 60 | the disk is full | `full_disk` |
//! | 61 | a write or a sync fails | `failing_disk` |
//! | 62 | the process is killed | `kills::whatever_was_answered_is_there_once_after_every_kill`; somebody with curl: `streams`; the chat page: `tests/browser/durable.rs` |
//! | 63 | what was not synced is lost | `kills::the_end_of_the_process_alone_loses_nothing_in_the_weaker_modes`; the power: on a disk that forgets, in the log's own tests and the simulator |
//! | 64 | damaged files | `damage`; every byte: in the log's own tests |
//! | 65 | two processes | `damage::a_second_program_does_not_get_a_directory_that_is_in_use` |
//! | 70 | a restart under load | `kills::a_restart_under_load_in_good_order_loses_nothing_and_leaves_nothing_to_repair` |

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]
#![allow(clippy::print_stdout, reason = "a run says its seed and what it came to")]

#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../../../fanfare/tests/sockets/client.rs"]
mod client;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../serve/curl.rs"]
mod curl;
mod damage;
mod failing_disk;
mod full_disk;
mod house;
mod kills;
mod load;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../serve/process.rs"]
mod process;
mod streams;
