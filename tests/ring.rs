//! `annulus::ring` on the real kernel. One room for each topic; what they share is in `ring/common.rs`.
//!
//! How a ring behaves, and where each is tested: a room of these tests, a test of it, or a file.
//!
//! | | behaviour | tests |
//! |---|---|---|
//! | 1 | setup refuses sizes, flags and addresses | `kernel::bad_setups_are_refused_by_the_kernel_as_well`, `setup` |
//! | 2 | a completion queue has its own size | `basics::sizes_are_rounded_and_the_completion_queue_has_its_own` |
//! | 3 | NOPs at every size | `basics::nops_come_back_at_every_size` |
//! | 4 | the probe | `registered::the_probe_knows_the_opcodes`, `query::a_probe_wants_zeros` |
//! | 5 | the query | `query::a_chain_of_questions_is_answered_one_by_one`, `query::a_query_*` |
//! | 6 | memory that cannot be a ring's | `memory::memory_that_is_not_there_is_an_error` |
//! | 7 | a ring without a descriptor | `memory::a_ring_without_a_descriptor_*` |
//! | 8 | an index, and the descriptor closed | `memory::a_ring_goes_on_by_its_index_when_its_descriptor_is_closed` |
//! | 9 | memory of the caller's is not overrun | `memory::a_ring_in_given_memory_keeps_to_it` |
//! | 10 | each queue mapped alone | `kernel::both_queues_are_one_memory_under_two_names` |
//! | 11 | a fork | `forks`, `memory::a_forked_child_touches_no_ring_in_given_memory` |
//! | 12 | maps are whole and shared | `setup::the_queues_are_mapped_shared_and_whole`, `src/ring/layout.rs` |
//! | 13 | an enter's arguments | `kernel::bad_enters_*`, `kernel::a_place_that_is_none_is_thrown_away_and_counted` |
//! | 14 | a queue that is full | `basics::nops_come_back_at_every_size`, `src/ring/sq.rs` |
//! | 15 | a bad entry among others | `basics::a_bad_entry_stops_its_batch_unless_all_are_asked_for` |
//! | 16 | a bad entry in a chain | `links::a_bad_entry_anywhere_in_a_chain_cancels_the_others` |
//! | 17 | what was submitted is used again | `files::what_was_submitted_may_be_used_again` |
//! | 18 | a wait for so many | `setup::a_wait_is_for_as_many_as_it_says` |
//! | 19 | one is submitted, and more are waited for | `waits::a_wait_runs_out_without_an_error` |
//! | 20 | the kernel's thread is woken, and makes room | `setup::the_kernels_thread_is_woken`, `setup::room_is_*` |
//! | 21 | the kernel's thread sleeps and ends | `setup::a_ring_that_was_never_enabled_is_dropped_at_once`, `exits` |
//! | 22 | workers and threads are shared | `setup::a_worker_pool_is_shared`, `setup::a_shared_thread_*` |
//! | 23 | a single issuer | `setup::a_single_issuer_is_alone`, `setup::a_disabled_ring_*`, `setup::a_ring_with_*` |
//! | 24 | work that is deferred | `waits::deferred_completions_appear_on_submit`, `loops`, `exits` |
//! | 25 | a wait for more that finds some | `waits::a_wait_runs_out_without_an_error` |
//! | 26 | what a NOP can be asked for | `nops` |
//! | 27 | entries of 128 bytes among others | `wide::entries_of_both_sizes_go_through_one_queue`, `src/ring/sq.rs` |
//! | 28 | in whose name | `identity` |
//! | 29 | how many are ready | `basics::half_read_completions_stay`, `src/ring/cq.rs` |
//! | 30 | completions of both sizes | `wide::completions_of_both_sizes_overflow_in_order`, `src/ring/cq.rs` |
//! | 31 | an overflow | `overflow::an_overflow_keeps_order_and_loses_nothing` |
//! | 32 | an overflow of a polled ring | `setup::a_polled_ring_overflows_like_any_other` |
//! | 33 | many answers end at a full queue | `overflow::a_multishot_ends_when_its_queue_is_full` |
//! | 34 | no answer to a success | `overflow::a_success_may_be_skipped` |
//! | 35 | an eventfd | `eventfds` |
//! | 36 | how long a wait is | `times` |
//! | 37 | a wait with a minimum | `times::a_minimal_wait_collects_and_then_takes_what_there_is` |
//! | 38 | waits that are registered | `described` |
//! | 39 | another size for a ring | `resize` |
//! | 40 | a ring in another loop | `loops` |
//! | 41 | links | `links::a_failure_breaks_a_link_and_no_hard_link`, `links::a_short_*`, `links::a_chain_*` |
//! | 42 | drains | `links::a_drain_waits_for_all_that_came_before`, `links::a_drain_*` |
//! | 43 | timeouts of links | `links::a_linked_timeout_*` |
//! | 44 | timeouts | `timers` |
//! | 45 | a namespace of time | `times::a_deadline_in_a_time_namespace_ends` |
//! | 46 | a cancel races with the end | `cancel::a_race_with_the_end_has_one_answer` |
//! | 47 | a cancel of many | `cancel::a_cancel_*`, `cancel::thirty_thousand_polls_are_cancelled` |
//! | 48 | a cancel by two keys | `cancel::two_keys_have_to_fit_both` |
//! | 49 | a cancel that waits | `sync_cancel` |
//! | 50 | threads, processes and programs end | `exits` |
//! | 51 | a thread submits and goes | `exits::a_thread_may_submit_and_go` |
//! | 52 | accepts | `sockets::one_accept_takes_many_connections`, `sockets::a_full_table_*`, `src/op/accept.rs` |
//! | 53 | connects | `sockets::a_connect_says_what_came_of_it`, `src/op/connect.rs` |
//! | 54 | sends and receives | `sockets::every_way_of_sending_and_receiving_gives_the_same` |
//! | 55 | a buffer is to be filled | `sockets::a_receive_of_all_waits_for_all` |
//! | 56 | receives of many answers | `sockets::data_and_the_end_come_to_a_receive_of_many`, `src/op/recv_multi.rs` |
//! | 57 | messages of many answers | `buf_ring::messages_lie_in_chosen_buffers`, `buf_ring::an_end_that_*` |
//! | 58 | bundles | `buf_ring::a_bundle_keeps_the_order_of_bytes`, `buf_ring::a_bundle_*` |
//! | 59 | sends that lend | `traps::t03_*`, `traps::t27_*`, `tests/zero_copy.rs`, `src/op/send_zc.rs` |
//! | 60 | sockets do as by system calls | `tests/opcodes` |
//! | 61 | polls | `polls` |
//! | 62 | rings of buffers | `buf_ring::groups_are_made_and_taken_away` |
//! | 63 | groups that run dry, and wrap | `buf_ring::a_group_runs_dry_*`, `buf_ring::seventy_*` |
//! | 64 | buffers in parts | `buf_ring::an_incremental_buffer_is_filled_by_and_by` |
//! | 65 | reads of many answers | `sockets::one_read_takes_all_of_a_pipe` |
//! | 66 | registered buffers | `buffers` |
//! | 67 | tags | `buffers::a_tag_comes_once_after_the_last_user`, `fixed_files` |
//! | 68 | tables are cloned | `buffers::tables_are_cloned` |
//! | 69 | registered files | `fixed_files::files_are_registered_and_updated`, `fixed_files` |
//! | 70 | direct descriptors | `fixed_files::a_file_is_opened_read_and_closed_in_one_chain` |
//! | 71 | messages to rings | `messages` |
//! | 72 | restrictions | `limits` |
//! | 73 | devices that are asked | `iopoll` |
//! | 74 | reads and writes | `files::every_way_of_reading_and_writing_gives_the_same`, `files::a_position_*` |
//! | 75 | files and the rest do as by system calls | `tests/opcodes` |
//! | 76 | reads that are short | `files::what_is_short_is_said_to_be`, `files::a_pipe_that_is_not_to_block_*` |
//! | 77 | workers | `workers` |
//! | 78 | a ring is not sent | `messages::a_ring_is_sent_to_nobody` |
//! | 79 | a kernel that lies | `src/ring/cq.rs`, `src/ring/sq.rs`, `tests/corpus.rs` |
//! | 80 | memory that may not be locked | `buffers::rings_that_close_give_their_memory_back` |
#![cfg(not(annulus_kqueue))] // there is no ring
#![allow(clippy::incompatible_msrv, reason = "the tests want stable")]

#[path = "outside/child.rs"]
mod child;

#[path = "ring/basics.rs"]
mod basics;
#[path = "ring/buf_ring.rs"]
mod buf_ring;
#[path = "ring/buffers.rs"]
mod buffers;
#[path = "ring/cancel.rs"]
mod cancel;
#[path = "ring/commands.rs"]
mod commands;
#[path = "ring/common.rs"]
mod common;
#[path = "ring/described.rs"]
mod described;
#[path = "ring/disk.rs"]
mod disk;
#[path = "ring/eventfds.rs"]
mod eventfds;
#[path = "ring/exits.rs"]
mod exits;
#[path = "ring/files.rs"]
mod files;
#[path = "ring/fixed_files.rs"]
mod fixed_files;
#[path = "ring/forks.rs"]
mod forks;
#[path = "ring/identity.rs"]
mod identity;
#[path = "ring/iopoll.rs"]
mod iopoll;
#[path = "ring/kernel.rs"]
mod kernel;
#[path = "ring/links.rs"]
mod links;
#[path = "ring/loops.rs"]
mod loops;
#[path = "ring/memory.rs"]
mod memory;
#[path = "ring/nops.rs"]
mod nops;
#[path = "ring/overflow.rs"]
mod overflow;
#[path = "ring/polls.rs"]
mod polls;
#[path = "ring/registered.rs"]
mod registered;
#[path = "ring/registrations.rs"]
mod registrations;
#[path = "ring/resize.rs"]
mod resize;
#[path = "ring/setup.rs"]
mod setup;
#[path = "ring/sockets.rs"]
mod sockets;
#[path = "ring/talk.rs"]
mod talk;
#[path = "ring/timers.rs"]
mod timers;
#[path = "ring/times.rs"]
mod times;
#[path = "ring/traffic.rs"]
mod traffic;
#[path = "ring/traps.rs"]
mod traps;
#[path = "ring/waits.rs"]
mod waits;
#[path = "ring/wide.rs"]
mod wide;
