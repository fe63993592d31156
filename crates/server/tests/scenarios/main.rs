//! What the server must survive, told to the real program.
//!
//! One fault a row, one story or more for each, with exact codes and counts. Every [`story`] ends with a look that the
//! process lives and answers, that its log says nothing at `info` that a client caused, and that nothing is left:
//! no connection, no topic, nothing that waits, the descriptors and threads of the beginning. Faults of the network are
//! made by a [`proxy`] that is tested itself. Deadlines are short because the server's own options make them so.
//!
//! | row | fault | told in |
//! |---|---|---|
//! | 1 | a handshake byte by byte | `transport::a_byte_now_and_then_does_not_extend_the_handshake` |
//! | 2, 3, 52 | half a request, silence, no upgrade | `transport::whoever_does_not_finish_the_handshake_is_gone_at_the_deadline`; what they cost in `tests/serve/door.rs` |
//! | 4 | a huge head | `transport::a_head_beyond_its_limits_is_refused_without_being_kept` |
//! | 5 | a head in segments of a byte | `transport::a_request_in_segments_of_a_byte_is_a_request` |
//! | 6 | no handshake | `transport::a_request_that_is_no_handshake_is_refused_exactly` |
//! | 7 | header injection | `transport::nothing_of_a_request_gets_into_the_head_of_its_answer` |
//! | 8 | request smuggling | `transport::requests_that_two_readers_would_cut_apart_differently_are_refused`, `transport::a_body_of_two_lengths_hides_no_second_request` |
//! | 9 | frames right behind the handshake | `transport::what_is_sent_right_behind_the_handshake_is_answered_in_order` |
//! | 10, 13 | a storm of connections, a herd that comes back | `door::a_storm_is_admitted_at_its_rate_and_told_when_to_come_back` |
//! | 11 | SYN flood | the kernel's (SYN cookies); we only size the backlog |
//! | 12 | no descriptor left | `tests/serve/descriptors.rs` |
//! | 14 | connections by address, user and in total | `door::connections_are_bounded_in_total_and_by_user`, `door::whoever_is_no_listed_proxy_cannot_say_that_it_is_somebody_else` |
//! | 14, 19 | one address, many spellings | `door::an_address_behind_a_listed_proxy_is_counted_once_in_every_spelling` |
//! | 15 | half-open TCP | `transport::a_peer_that_lost_its_power_is_found_by_its_silence`, `presence::whoever_vanishes_goes_from_the_topic_when_its_silence_is_found` |
//! | 16 | resets | `transport::a_reset_in_the_middle_of_anything_is_a_clean_release`, `transport::a_reset_in_the_middle_of_a_large_write_is_a_clean_release` |
//! | 17 | TLS: no TLS at all, old versions, a slow handshake, negotiation anew | `tls`; `tls::handshake` and `tls::broken` in the library's own tests over sockets |
//! | 18 | a certificate that is rotated, expired or not readable | `tests/serve/tls.rs`, `tls::certificates` in the library's own tests over sockets |
//! | 20, 21, 22 | masks, reserved bits and opcodes | `frames::a_header_that_breaks_the_rules_is_a_protocol_error` |
//! | 23 | control frames | `frames::a_control_frame_that_breaks_the_rules_is_not_echoed` |
//! | 24, 26 | lengths and sums | `frames::a_length_beyond_the_limit_is_refused_by_its_header`, `frames::a_message_of_exactly_the_limit_is_taken_in_any_number_of_fragments` |
//! | 25 | announced and not sent | `frames::what_is_announced_and_not_sent_costs_nothing`; the sum over all: `unfinished::what_all_have_begun_together_has_a_bound` |
//! | 27 | messages without end | `frames::fragments_without_end_are_closed_at_the_sum`, `unfinished::whatever_is_begun_and_not_finished_is_closed_at_the_message_timeout` |
//! | 28 | fragments of nothing | `floods::fragments_of_nothing_and_of_a_byte_cost_nothing` |
//! | 29 | ping flood | `floods::pings_whose_pongs_are_not_read_leave_no_more_than_one_behind` |
//! | 30 | pong flood | `floods::pongs_nobody_asked_for_are_not_answered_and_leave_fragments_in_order`, `rates::pongs_beyond_the_rate_wait_and_keep_their_order` |
//! | 31 | invalid UTF-8 | `frames::text_that_is_no_utf8_is_refused_as_soon_as_it_is_certain` |
//! | 32 | compression bombs | `compression::a_bomb_is_refused_at_the_limit_and_never_inflated`, `compression::the_limit_is_that_of_the_inflated_message` |
//! | 33 | bad offers | `compression::bad_offers_are_declined_and_the_connection_goes_without` |
//! | 34 | corrupt streams | `compression::what_is_no_stream_of_deflate_is_invalid_data`, `compression::legal_streams_of_any_shape_are_read` |
//! | 35 | many contexts | `compression::connections_that_agreed_on_compression_cost_no_more_than_others` |
//! | 36 | around the close frame | `frames::what_comes_behind_a_close_frame_is_ignored`, `frames::a_close_frame_without_an_answer_is_the_end_after_the_close_timeout`, `frames::whoever_broke_the_protocol_sees_the_close_frame_and_then_the_end` |
//! | 37 | a slow reader | `slow::a_reader_on_a_slow_line_is_told_that_it_is_slow_and_closed`, `slow::a_reader_on_a_slow_line_gets_everything_that_its_outbox_can_hold` |
//! | 37 | a slow reader under the other rules | `slow::whatever_a_rule_drops_is_told_in_its_place`, `slow_rules` |
//! | 38 | a stalled reader | `slow::a_client_that_takes_nothing_is_closed_at_the_write_deadline` |
//! | 39 | many stalled readers | `slow::a_hundred_stalled_clients_cost_what_one_does_and_delay_nobody` |
//! | 58 | the ceiling of the process is near | `memory::near_the_ceiling_nothing_more_is_taken_on_and_the_slowest_are_closed` |
//! | 39, 58 | the memory for all is full | `slow::when_the_memory_for_all_is_full_those_with_the_most_are_closed` |
//! | 40 | replies that are not read | `slow::a_client_that_does_not_read_its_replies_is_not_read_from` |
//! | 41 | publish flood | `rates::a_publish_flood_of_one_client_waits_and_the_others_keep_their_share`, `rates::bytes_count_as_well_and_those_of_one_user_together`, `rates::a_publish_flood_into_one_topic_is_refused_and_then_closed`, `rates::a_raw_client_whose_publication_is_refused_is_closed` |
//! | 42 | a hot topic | `floods::a_hot_topic_is_encoded_once_per_shard_and_leaves_the_others_their_turn` |
//! | 43 | subscription flood | `floods::subscriptions_beyond_the_limit_are_refused_and_leave_nothing`, `rates::topics_beyond_the_limit_are_refused_and_leave_nothing` |
//! | 44 | churn that races | `churn::subscriptions_that_race_with_publications_and_ends_leave_no_entry` |
//! | 45 | very many topics | `churn::topics_without_subscribers_are_released` |
//! | 46 | hostile names | `names` |
//! | 47 | wildcards | no client can give a pattern: its characters are refused (`names`) |
//! | 48 | collisions in maps | by review: maps of clients' names have a seed of the process |
//! | 49 | JSON bombs | `centrifuge::json_that_means_harm_ends_the_connection`, `commands::json_that_means_harm_is_an_error`, `commands::payloads_pass_through_whatever_their_json_holds` |
//! | 50 | binary protocols | `centrifuge::what_is_no_protobuf_ends_the_connection`, `commands::binary_is_refused_where_commands_are_text_and_opaque_where_they_are_not` |
//! | 51 | malformed commands | `centrifuge::commands_out_of_their_order_have_one_exact_end_each`, `centrifuge::commands_that_cannot_be_done_are_errors_and_ids_are_repeated`, `commands::malformed_commands_have_one_exact_answer_each`, `commands::ids_are_repeated_as_they_are_and_may_be_replayed` |
//! | 51–53 | before, without and with bad tokens | `tests/sockets/tokens.rs` of the library |
//! | 53 | guessed keys | `access::wrong_keys_open_nothing_however_many_are_tried` |
//! | 54 | hooks that are slow, dead, lying or flooding | `hooks`, `centrifugo_proxies`, `leaves`; notices to such a backend: `notices` |
//! | 56 | idempotency keys, racing duplicates | `repeating::of_racing_duplicates_over_every_way_one_is_published`, `repeating::of_racing_publications_behind_one_place_one_is_taken`; every way of deciding it wrong in `tests/conformance` of the hub |
//! | 55 | abuse of history | `recovery::history_that_is_asked_for_in_absurd_amounts_is_clamped_or_refused`, `src/api/tests/history.rs`, `tests/sockets/history.rs` of the library |
//! | 57 | abuse of listings | `access::pages_are_bounded_and_cursors_are_only_those_that_were_given`, `presence::presence_that_is_asked_for_in_a_loop_is_paged_and_costs_nobody_else` |
//! | – | coming back | `recovery` |
//! | 59 | a busy processor | `floods::what_one_client_has_sent_does_not_go_before_everything_of_the_others`, `floods::pings_and_health_are_answered_while_clients_flood` |
//! | 66 | clock jumps | `crates/hub/tests/stories/timers.rs`, where time is an argument |
//! | 67 | SIGSTOP | `signals::a_process_that_stood_still_closes_nobody_who_is_well` |
//! | 68 | panics | `tests/faults` and the library's own, built with panics on demand |
//! | 69 | SIGTERM, twice, SIGHUP | `signals` |
//! | 71 | soak | in small: `churn::rounds_of_everything_return_to_the_baseline` |
//! | 72 | idle connections | `churn::idle_connections_cost_little_and_all_of_it_comes_back` |
//! | 80 | hostile tokens | `src/tokens/tests` and `tests/sockets/jwks.rs` of the library; the program in `tests/serve/tokens.rs` |
//! | 82 | the HTTP API | `access`; scopes of keys in `src/api/tests/scopes.rs` and `tests/serve/tokens.rs`; the time that keys take in `src/api/access.rs` |
//! | – | who may receive and publish what | `permissions` |
//! | 83 | the pages | `web`, and `tests/browser/hostile_text.rs` in a real browser |
//! | 84 | the log | `log`; that a flood is a line a second in `tests/serve/door.rs` |

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something unexpected happens, helpers included"
)]

mod access;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../../../fanfare/tests/sockets/tls/authority.rs"]
mod authority;
mod backend;
mod centrifuge;
mod centrifugo_proxies;
mod churn;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../../../fanfare/tests/sockets/client.rs"]
mod client;
mod commands;
mod compression;
mod door;
mod floods;
mod frames;
mod hooks;
mod leaves;
mod log;
mod memory;
mod names;
mod notices;
mod permissions;
mod presence;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../serve/process.rs"]
mod process;
mod proxy;
mod proxy_tests;
mod rates;
mod recovery;
mod repeating;
mod signals;
mod slow;
mod slow_rules;
mod story;
mod tls;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../serve/tls_files.rs"]
mod tls_files;
mod transport;
mod unfinished;
mod web;
