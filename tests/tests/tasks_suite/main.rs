//! What tasks and their cancellation promise, on every loop there is (I-17).
//!
//! The checks are written against `dyn Host`; their names begin with the clauses that they hold.

mod cancelling;
mod model;
mod race_model;
mod races;
mod stepping;
mod support;
mod timeouts;
mod wait_for;
mod wakers;

tulipa_tests::on_every_host! {
    stepping:
        t1_nothing_of_a_task_runs_before_the_next_iteration,
        t2_going_on_costs_one_hop,
        t3_yielding_gives_everybody_one_turn,
        t4_what_a_coroutine_returns_is_the_outcome,
        t4_a_panic_is_the_exception,
        t5_a_task_is_not_completed_from_outside,
        t6_a_task_cannot_wait_for_itself,
        t7_a_task_has_a_number_and_a_name,
        t8_the_current_task_is_the_one_whose_step_runs,
        t8_all_tasks_are_those_that_have_not_ended,
        t9_t10_a_task_goes_on_without_handles,
        t23_a_task_that_is_destroyed_while_pending_is_reported,
        t24_a_task_is_not_resumed_twice_for_one_wait,
        t26_t27_an_eager_task_may_be_done_at_once,
        t28_an_eager_task_is_current_during_its_first_step,
        t31_sleeping_takes_its_time_and_zero_yields,
        f18_a_failure_is_reported_at_the_end_if_no_handle_is_left,
        f22_f23_tasks_wait_for_futures_in_turn,
        l26_a_task_of_a_closed_loop_is_cancelled_and_reported;
    cancelling:
        t11_t12_cancelling_cancels_what_the_task_waits_for,
        t12_a_cancelled_coroutine_may_clean_up_and_go_on,
        t13_before_its_first_step_a_task_never_begins,
        t14_cancelled_in_its_last_step_it_ends_cancelled,
        t15_a_task_that_cancels_itself_is_told_at_its_next_wait,
        t16_cancelling_goes_through_to_the_inner_task,
        t17_cancelled_after_its_future_was_done_the_value_stays_there,
        t18_t19_requests_are_counted_and_delivered_once,
        t19_taking_the_last_request_back_calls_it_off,
        t25_a_foreign_future_is_dropped,
        t25_d10_all_waits_of_a_select_are_told,
        t31_a_cancelled_sleep_cancels_its_timer,
        t3_a_yield_is_cancelled,
        d10_abort_drops_a_coroutine_that_does_not_answer,
        d10_abort_from_inside_takes_effect_after_the_step;
    wakers:
        i11_a_wake_from_the_own_thread_queues_the_step,
        r9_many_wakes_from_another_thread_are_one,
        r9_wakers_outlive_their_task_and_their_loop,
        r9_other_threads_may_use_the_waker_of_a_poll,
        r9_no_wake_of_many_threads_is_lost,
        f23_a_wait_that_changes_its_task_wakes_the_new_one;
    model:
        t11_t16_t19_t60_t68_random_programs_behave_like_the_model;
    race_model:
        t12_t20_t62_t63_no_race_loses_a_cancellation;
    races:
        d10_the_first_wins_and_the_losers_are_waited_for,
        d10_what_loses_with_a_value_hands_it_out,
        d10_of_two_that_end_together_the_first_wins_and_nothing_is_lost,
        d10_cancelling_the_task_cancels_all_alternatives,
        d10_a_cancellation_that_only_losers_saw_is_not_lost,
        t62_a_time_out_beside_another_counts_for_itself,
        t63_a_loser_whose_time_is_up_too_still_knows_that_it_lost,
        d10_a_race_may_be_dropped_and_may_be_of_nobody,
        d10_select_runs_the_arm_of_the_winner,
        d10_select_hands_out_what_came_late,
        d10_select_fails_when_the_task_is_cancelled,
        t88_attempts_begin_by_delay_or_on_failure,
        t88_without_a_delay_only_a_failure_begins_the_next,
        t88_of_two_that_succeed_together_the_first_wins,
        t88_cancelling_the_race_cancels_all,
        t10_a_handle_that_cancels_when_it_is_dropped;
    timeouts:
        t60_limits_end_what_takes_too_long_and_none_is_no_limit,
        t60_the_limited_part_may_borrow,
        t61_a_limit_is_entered_once,
        t61_outside_of_a_task_a_limit_works_too,
        t62_the_cancellation_becomes_a_time_out,
        t62_t25_a_foreign_future_is_dropped_at_the_deadline,
        t62_a_foreign_future_that_is_ready_is_not_dropped,
        t63_a_cancellation_by_somebody_else_passes,
        t63_t20_a_request_that_was_taken_back_does_not_count,
        t19_t20_a_request_can_be_called_off_inside_of_a_block_too,
        t15_t63_a_request_from_before_the_block_is_delivered_in_it,
        t63_a_request_that_the_block_has_not_noticed_goes_on,
        t64_other_ends_pass_unchanged,
        t64_a_failure_in_time_is_no_time_out,
        t65_a_deadline_that_has_passed_hits_the_first_await,
        t66_the_deadline_can_be_asked_and_moved,
        t66_somebody_else_may_move_the_deadline,
        t67_when_two_expire_together_the_outer_one_reports,
        t67_an_inner_one_alone_can_be_caught_between_them,
        t68_nothing_fires_after_leaving,
        t62_t68_an_iteration_in_which_the_block_ends_is_not_too_late;
    wait_for:
        t39_what_takes_too_long_is_cancelled_and_waited_for,
        t39_without_a_limit_it_is_a_plain_await,
        t40_at_zero_a_coroutine_is_not_started,
        t41_the_cancelled_one_may_answer_otherwise,
        t42_a_cancellation_goes_through_and_on,
        t42_cancelled_as_it_ends_the_value_stays_where_it_was_made,
        t43_done_when_the_waiter_goes_on_is_in_time,
        t43_the_deadline_hits_what_is_not_done_after_its_last_turn,
        t44_nothing_is_left_behind,
        t45_cancelled_by_somebody_else_is_no_time_out;
}
