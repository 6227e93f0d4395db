//! What locks, queues and channels promise, on every loop there is (I-17).
//!
//! The checks are written against `dyn Host`; their names begin with the clauses that they hold.

mod barriers;
mod channels;
mod conditions;
mod events;
mod locks;
mod models;
mod queues;
mod semaphores;
mod support;
mod threads;

tulipa_tests::on_every_host! {
    locks:
        s1_nobody_waits_outside_of_a_loop,
        s1_i9_waiting_on_another_loop_is_an_error,
        s4_the_guard_releases_however_the_block_ends,
        s5_a_free_lock_is_taken_without_a_pause,
        s2_s6_who_waits_first_is_served_first,
        s6_s7_in_the_gap_nobody_holds_it_and_nobody_overtakes,
        s6_cancelled_waiters_do_not_count,
        s3_s8_whose_turn_came_and_who_ends_passes_it_on,
        s8_many_cancellations_at_once_grant_nothing_twice,
        s9_a_lock_has_no_owner_and_is_not_re_entrant,
        s3_a_future_that_is_dropped_loses_nothing,
        s3_many_come_and_go_at_the_same_cost,
        s2_a_waiter_runs_in_a_later_turn;
    events:
        s10_setting_wakes_all_and_lets_later_ones_pass,
        s11_set_and_cleared_in_one_turn_it_still_wakes,
        s12_setting_twice_is_setting_once_and_who_is_cancelled_leaves,
        s10_a_waker_that_waits_again_waits_for_the_next_time;
    conditions:
        s13_waiting_and_notifying_demand_the_lock,
        s13_conditions_can_share_a_lock,
        s14_waiting_gives_the_lock_up_and_holds_it_again,
        s14_a_cancelled_wait_holds_the_lock_before_it_says_so,
        s14_s16_cancelled_while_acquiring_again_it_passes_the_notification_on,
        s14_s16_aborted_while_acquiring_again_it_passes_both_on,
        s15_notifying_wakes_the_first_and_they_run_after_the_release,
        s16_a_notified_waiter_that_ends_passes_the_notification_on,
        s16_a_dropped_wait_leaves_a_guard_that_holds_nothing,
        s17_wait_for_looks_first_and_gives_what_it_found;
    semaphores:
        s18_a_semaphore_has_so_many_tokens,
        s18_releasing_a_bounded_one_too_often_is_an_error,
        s19_locked_says_whether_a_newcomer_would_wait,
        s20_a_released_token_goes_to_the_first_waiter,
        s3_s21_a_cancelled_waiter_gives_its_token_back,
        s21_several_releases_wake_several,
        s21_a_waiter_that_ends_in_a_bounded_one_leaves_nobody_behind,
        s22_the_order_holds_when_some_wait_and_some_need_not;
    barriers:
        s23_all_pass_when_so_many_have_arrived,
        s23_a_party_of_one_never_waits,
        s24_who_comes_while_a_round_leaves_belongs_to_the_next,
        s25_a_reset_sends_those_inside_away,
        s25_a_reset_reaches_those_of_a_full_round_that_have_not_run,
        s26_an_abort_sends_all_away_until_a_reset,
        s26_a_member_may_break_it,
        s27_a_cancelled_waiter_leaves_without_breaking_the_round,
        s3_s27_one_who_passed_and_is_cancelled_holds_nobody_up,
        s28_who_passes_and_comes_again_is_not_counted_twice;
    queues:
        s29_a_queue_tells_its_length_and_limit,
        s30_the_immediate_forms_fail_and_give_the_item_back,
        s30_getters_and_putters_are_served_in_order,
        s30_newcomers_do_not_overtake_who_was_woken,
        s31_who_was_overtaken_waits_on_in_its_place,
        s3_s32_a_cancelled_getter_loses_no_item,
        s3_s32_a_cancelled_putter_passes_the_room_on,
        s32_cancelled_waiters_do_not_pile_up,
        s33_join_waits_until_all_work_is_done,
        s34_the_smallest_first_and_among_equals_the_oldest,
        s34_the_newest_first,
        s34_a_comparison_that_uses_the_queue_or_panics_breaks_nothing,
        s35_after_a_shutdown_what_is_there_can_be_taken,
        s35_a_shutdown_tells_the_getters_that_wait,
        s36_an_immediate_shutdown_throws_away_what_is_there,
        s36_an_immediate_shutdown_wakes_everyone,
        s37_both_ends_can_be_bounded,
        s37_callbacks_can_wait_too;
    channels:
        a_watch_shows_the_latest_value,
        s3_a_cancelled_watch_has_not_seen_the_value,
        s1_channels_belong_to_the_loop_that_was_first_waited_on,
        a_broadcast_reaches_every_receiver,
        a_slow_receiver_is_told_how_many_it_lost,
        a_broadcast_keeps_nothing_that_all_have,
        s3_a_cancelled_receiver_of_a_broadcast_loses_nothing,
        destructors_may_look_at_the_channel,
        a_mailbox_takes_items_from_other_threads,
        a_mailbox_wakes_the_loop_once_for_a_burst,
        a_bounded_mailbox_refuses_what_is_too_much,
        s3_a_cancelled_receiver_of_a_mailbox_loses_nothing,
        a_sender_that_outlives_the_loop_gets_its_item_back;
    models:
        s3_s6_s8_s20_s21_s22_tokens_behave_like_the_model,
        s30_s31_s32_s33_s34_s35_s36_queues_behave_like_the_model,
        s23_s25_s26_s27_barriers_behave_like_the_model,
        a_broadcast_behaves_like_the_model;
}
