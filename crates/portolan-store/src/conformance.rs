//! The conformance suite: what every [`MessageBox`](crate::MessageBox) must do, as a table of cases
//! over the trait alone, and a seeded model test that compares a store with the memory one. Written
//! for tests of stores; a case must never know which store it runs against.
//!
//! A store's test says where a store lives ([`Site`]) and calls [`run`] and [`model::run`].

#![allow(clippy::unwrap_used, reason = "test code, compiled as a library so that other crates' tests can use it")]

mod bodies;
mod claims;
mod commits;
mod concurrent;
mod fixture;
mod harness;
mod lost;
pub mod model;
mod operate;
mod queries;
mod roundtrip;
mod select;
mod sources;

pub use harness::{Harness, MemorySite, Mode, Site};
pub use lost::{LostAnswer, retrying};

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

/// A case that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(180);

/// A case: a name that is a sentence, and what it does.
pub struct Case {
    /// The sentence, with underscores.
    pub name: &'static str,
    /// The ways in which it runs.
    pub modes: &'static [Mode],
    /// Runs it; a violated promise is a panic.
    pub run: fn(Harness) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

macro_rules! cases {
    ($($modes:path { $($module:ident { $($name:ident,)* })* })*) => {
        vec![$($($(Case { name: stringify!($name), modes: $modes, run: |harness| Box::pin($module::$name(harness)) },)*)*)*]
    };
}

/// Every case.
#[must_use]
pub fn cases() -> Vec<Case> {
    cases! {
        Mode::ALL {
            commits {
                a_batch_that_fails_in_the_middle_leaves_nothing,
                a_batch_that_fails_does_not_touch_claims_and_bodies,
                a_batch_that_fails_leaves_nothing_to_claim,
                a_repeated_batch_gets_the_same_receipt_and_changes_nothing,
                a_failed_batch_may_be_tried_anew_under_its_id,
                an_empty_batch_is_applied,
                a_batch_made_in_another_epoch_is_a_conflict,
                require_holds_or_the_batch_is_a_conflict,
                taking_away_and_publishing_happens_exactly_once,
                a_malformed_batch_is_invalid,
                a_lazy_commit_is_seen_at_once_and_survives_closing,
                operations_see_what_those_before_them_did,
                a_closed_store_says_so,
            }
            sources {
                a_remembered_key_cannot_be_remembered_again,
                keys_are_listed_by_scope_in_order,
                states_are_set_replaced_removed_and_listed_by_prefix,
                events_come_newest_first_and_page_both_ways,
            }
            claims {
                a_claimed_instance_is_given_to_nobody_else,
                an_instance_claimed_at_publication_is_its_publishers,
                a_claim_is_for_one_service,
                claims_come_by_priority_then_due_then_publication,
                a_scheduled_instance_is_not_given_before_it_is_due,
                a_claim_of_an_earlier_moment_gives_nothing_too_soon,
                a_rescheduled_instance_keeps_its_progress_and_failure,
                a_suspended_instance_is_not_given,
                a_claim_takes_at_most_what_was_asked,
                operations_on_gone_instances_change_nothing,
                work_carries_the_whole_message,
                changes_grow_when_work_may_have_become_ready,
            }
            bodies {
                a_message_goes_with_its_last_subscriber,
                a_stored_body_is_shared_and_goes_with_the_last_subscriber,
                a_stored_body_reads_back_at_any_offset,
                an_empty_stored_body_is_a_body,
                a_piece_may_be_written_again_until_a_message_owns_the_body,
                pieces_come_in_order,
                a_message_cannot_own_a_body_that_is_not_whole,
                a_body_without_a_message_goes_when_the_store_is_opened,
                a_discarded_body_is_gone_unless_a_message_owns_it,
                a_replaced_message_hands_its_body_on,
                terminating_removes_messages_and_bodies,
            }
            operate {
                resume_makes_ready_and_a_second_resume_changes_nothing,
                resume_passes_over_what_cannot_be_resumed,
                terminate_takes_every_state_but_passes_over_claimed_ones,
                terminate_removes_the_report_about_an_instance,
                suspending_by_hand_passes_over_claimed_and_suspended_ones,
                a_suspended_instance_may_be_suspended_again_with_a_new_reason,
                thousands_are_resumed_in_one_operation,
            }
            select {
                every_condition_of_a_selection_selects,
                conditions_are_joined_by_and,
                an_action_touches_exactly_what_its_selection_selects,
            }
            queries {
                instances_come_newest_first_in_pages,
                paging_goes_on_when_the_last_instance_of_a_page_is_gone,
                instances_of_one_moment_page_by_id,
                services_are_counted_by_state,
                a_message_is_found_while_it_is_there,
            }
            roundtrip {
                every_type_of_value_comes_back_as_it_was,
                every_field_of_an_instance_comes_back_as_it_was,
                parts_come_back_as_they_were,
                large_messages_come_back_as_they_were,
                names_and_texts_of_any_script_come_back_as_they_were,
            }
            concurrent {
                concurrent_claims_share_nothing_and_miss_nothing,
                concurrent_publications_all_arrive,
                of_concurrent_takers_of_one_key_one_wins,
                of_concurrent_takers_of_one_instance_one_wins,
                a_batch_submitted_twice_at_once_is_applied_once,
                a_claim_after_an_action_misses_nothing,
                actions_keep_no_work_waiting,
            }
        }
        Mode::FRESH {
            commits {
                batches_are_remembered_for_long,
            }
            operate {
                a_large_backlog_goes_out_in_order_whatever_joins_it,
            }
            sources {
                the_event_log_keeps_the_newest,
            }
            bodies {
                a_body_of_many_pieces_reads_back,
            }
        }
    }
}

/// Runs every case in every mode against stores at fresh sites.
///
/// # Panics
/// When cases fail, after the last of them, with a list of all that did.
pub async fn run(fresh_site: impl Fn() -> Arc<dyn Site>) {
    let mut failures = Vec::new();
    for case in cases() {
        for mode in case.modes {
            let harness = Harness::open(fresh_site(), *mode).await;
            let mut task = tokio::spawn((case.run)(harness));
            match tokio::time::timeout(LONGEST, &mut task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failures.push(format!("{} ({mode:?}): {}", case.name, what_happened(error))),
                Err(_) => {
                    task.abort();
                    failures.push(format!("{} ({mode:?}): hangs", case.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of the conformance cases fail:\n{}", failures.len(), failures.join("\n"));
}

fn what_happened(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => panic.downcast_ref::<&str>().map_or_else(|| "panicked".to_owned(), |text| (*text).to_owned()),
        },
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_memory_store_passes_the_suite() {
        run(|| Arc::new(MemorySite::default())).await;
    }
}
