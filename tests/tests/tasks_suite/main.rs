//! What tasks and their cancellation promise, on every loop there is (I-17).
//!
//! The checks are written against `dyn Host`; their names begin with the clauses that they hold.

mod as_completed;
mod cancelling;
mod gather;
mod graph;
mod model;
mod race_model;
mod races;
mod shield;
mod stepping;
mod support;
mod timeouts;
mod wait_for;
mod waiting;
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
        t25_waits_that_were_given_away_do_not_hold_a_cancellation_up,
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
    gather:
        f25_whatever_is_a_future_can_be_awaited,
        f26_a_future_or_task_comes_back_as_it_is,
        f26_anything_else_becomes_a_task,
        f26_a_future_of_another_loop_is_refused,
        t46_values_come_in_the_order_of_the_arguments,
        t46_gathering_nothing_is_done_at_once,
        t46_one_that_is_given_twice_runs_once,
        t46_coroutines_run_at_the_same_time,
        t46_gathering_what_is_done_is_done_at_once,
        t47_the_first_failure_is_the_outcome_and_the_others_go_on,
        t47_a_failure_of_the_whole_that_nobody_asks_for_is_reported_once,
        t48_a_child_that_is_cancelled_by_itself_is_a_failure,
        t49_cancelling_the_whole_waits_for_the_children,
        t49_with_no_child_left_it_answers_false,
        t49_a_failure_during_the_cancellation_is_the_outcome,
        t49_children_that_go_on_in_spite_of_it_do_not_change_the_end,
        t49_cancelling_the_task_that_awaits_it_cancels_the_children,
        t49_a_task_cancelled_after_the_children_were_done_is_told,
        t50_results_are_collected_whatever_they_are,
        t50_if_the_whole_was_cancelled_it_ends_cancelled,
        t51_after_a_failure_cancelling_it_does_nothing,
        t52_gather_stops_nobody_and_the_form_in_place_does,
        t46_a_child_that_is_dropped_undone_ends_the_waiting,
        t46_cloning_a_value_may_do_what_it_likes,
        t46_children_that_it_made_are_not_reported_at_the_end,
        t46_in_place_parts_may_borrow_and_differ,
        t52_in_place_the_others_are_awaited_before_the_failure_is_told,
        t52_in_place_a_cancelled_task_tells_each_part_once,
        t52_in_place_a_cancellation_that_no_part_notices_is_not_lost,
        t52_in_place_a_part_that_was_done_when_the_cancel_came,
        t52_in_place_tasks_are_cancelled_unless_they_are_shielded,
        t52_in_place_dropping_it_half_way_drops_the_parts;
    waiting:
        t33_done_and_pending_together_are_what_was_given,
        t33_nothing_to_wait_for_is_an_error,
        t34_duplicates_count_once_and_tasks_and_references_come_back,
        t35_for_all_for_one_or_for_a_failure,
        t35_without_a_failure_it_waits_for_all,
        t36_the_timeout_cancels_nothing,
        t36_what_is_done_when_it_goes_on_counts_as_done,
        t37_if_enough_are_done_it_takes_one_hop,
        t38_cancelling_the_waiter_ends_only_the_waiting,
        t38_nothing_of_it_stays_behind,
        t33_tasks_that_ended_eagerly_can_be_waited_for;
    shield:
        t53_cancelling_the_waiter_leaves_the_inner_one_alone,
        t53_what_is_done_comes_back_itself,
        t53_cancelled_in_the_turn_in_which_the_inner_one_is_done,
        t54_value_failure_and_cancellation_come_through,
        t54_a_coroutine_is_started_as_a_task,
        t54_one_that_is_dropped_undone_ends_the_waiting,
        t55_a_later_failure_is_reported_once,
        t55_a_failure_that_somebody_asked_for_is_not_reported,
        t55_a_value_or_cancellation_is_ignored,
        t53_t55_shields_that_were_given_up_leave_nothing_behind;
    as_completed:
        t56_each_comes_once_in_the_order_of_completion,
        t56_those_that_are_done_come_first_and_without_waiting,
        t57_who_asked_first_is_served_first,
        t57_a_ticket_that_is_given_up_loses_nothing,
        t57_what_a_cancelled_ticket_was_granted_goes_to_the_next,
        t57_many_that_give_up_leave_no_places_behind,
        t58_after_the_timeout_each_missing_item_says_so,
        t58_who_waits_is_told_of_the_timeout,
        t58_when_all_are_done_the_timer_is_gone,
        t58_nothing_to_wait_for_ends_at_once,
        t58_cancelling_who_waits_keeps_the_item,
        t59_coroutines_start_at_the_call,
        t59_futures_of_different_loops_are_refused;
    graph:
        t89_a_future_knows_who_waits_for_it,
        t89_the_way_leads_through_what_stands_for_others,
        t89_a_graph_is_captured_as_data,
        t89_a_task_tells_what_it_waits_for,
        t90_the_tasks_of_a_loop_are_drawn_as_a_tree,
        t90_a_cycle_is_pointed_out,
        t90_long_chains_use_no_stack;
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
