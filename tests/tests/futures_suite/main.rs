//! What futures, handles and the scheduler interface promise, on every loop there is (I-17).
//!
//! The checks are written against `dyn Host`; their names begin with the clauses that they hold.

mod callbacks;
mod chain;
mod context;
mod conversion;
mod handles;
mod model;
mod order;
mod reentrancy;
mod state;
mod unretrieved;
mod wakers;

tulipa_tests::on_every_host! {
    order:
        l1_l3_nothing_runs_from_inside_a_request,
        l3_a_chain_of_callbacks_does_not_starve_timers,
        l4_callbacks_run_first_in_first_out,
        l7_a_callback_runs_once_for_each_time_that_it_is_scheduled,
        l9_d6_d7_h16_a_failing_callback_is_reported_and_the_others_run,
        l26_l34_a_closed_loop_drops_the_callback_and_reports_it_once,
        l25_closing_drops_what_is_queued_without_running_it,
        l31_another_thread_posts_in_order,
        l31_the_way_in_from_other_threads_is_one_and_stays,
        l31_what_comes_while_a_callback_runs_is_not_left_behind,
        l47_time_does_not_go_back,
        l48_the_running_loop_is_the_current_one,
        l48_entering_a_scheduler_restores_the_one_before;
    handles:
        h1_dropping_a_handle_changes_nothing,
        h2_cancelling_frees_the_captures_at_once,
        h3_cancelled_means_that_the_run_was_prevented,
        h4_cancelling_from_the_own_callback_changes_nothing,
        h5_l8_cancelling_in_the_same_batch_prevents_the_run,
        h5_a_due_timer_is_cancelled_by_an_earlier_one,
        h6_deadlines_in_the_past_are_due_at_once_in_their_order,
        h7_an_endless_delay_never_fires,
        h9_timers_fire_at_their_time_and_never_before,
        h10_equal_deadlines_run_in_the_order_of_their_creation,
        h11_late_timers_are_neither_skipped_nor_merged,
        h14_the_deadline_stays_readable,
        h15_handles_are_equal_if_they_are_for_the_same_callback,
        h17_a_timer_can_be_moved_until_it_ran,
        h17_a_moved_timer_counts_as_new_among_equals,
        h2_l25_handles_outlive_the_loop;
    state:
        f1_done_is_final,
        f2_w31_setting_a_done_future_is_an_error_also_when_cancelled,
        f2_a_value_that_came_too_late_comes_back,
        f3_result_gives_the_value_any_number_of_times,
        f3_taking_moves_the_value,
        f3_f4_a_pending_future_has_neither_result_nor_exception,
        f4_exception_gives_the_exception_as_a_value,
        f5_cancel_says_whether_it_cancelled,
        f6_the_message_of_the_cancel_reaches_who_waits,
        f28_one_exception_ends_in_several_futures,
        f28_an_outcome_that_is_a_cancellation_cancels,
        f8_l52_a_future_knows_its_loop,
        d2_a_future_tells_its_state_and_place;
    callbacks:
        f9_a_callback_gets_the_future_once,
        f10_w28_callbacks_never_run_from_inside_a_request,
        f11_on_a_done_future_a_callback_is_queued_right_away,
        f12_callbacks_run_in_the_order_of_their_additions,
        f12_those_of_the_future_that_was_done_first_come_first,
        f13_removing_takes_one_callback_back,
        f13_removing_from_a_crowd_keeps_the_order,
        f13_a_token_of_another_future_removes_nothing,
        f14_after_completion_nothing_can_be_removed,
        f15_a_removed_callback_frees_its_captures_at_once,
        f15_a_callback_that_removes_the_next_one_is_too_late,
        f16_a_failing_callback_is_reported_and_the_others_run,
        f17_a_callback_may_add_drop_and_query,
        f21_on_a_closed_loop_callbacks_are_dropped,
        f21_closing_the_loop_drops_callbacks_that_are_queued,
        f15_f16_a_destructor_that_panics_keeps_none_of_the_others_from_running;
    unretrieved:
        f18_an_exception_that_nobody_asked_for_is_reported_once,
        f18_the_report_waits_for_the_last_handle,
        f18_a_callback_that_fails_to_ask_does_not_count,
        f19_result_exception_take_await_and_cancel_retrieve,
        f19_asking_before_it_is_done_does_not_count,
        f20_results_cancelled_and_pending_futures_are_silent,
        f21_the_report_works_when_the_loop_is_closed,
        f21_the_report_does_not_keep_the_exception,
        f19_w34_a_failure_that_a_chain_took_over_is_reported_by_its_last_future,
        d12_a_report_may_cause_another_one;
    wakers:
        f22_a_done_future_is_ready_at_once,
        f22_a_pending_one_wakes_and_is_ready_then,
        f23_all_who_wait_are_woken_in_the_order_in_which_they_began,
        f23_wakers_and_callbacks_share_one_order,
        f23_polling_again_replaces_the_waker_in_its_place,
        f23_one_who_left_is_not_woken,
        f23_many_come_and_go,
        awaiting_from_inside_another_loop_is_an_error,
        f12_f15_what_a_waker_adds_comes_last,
        f15_f16_a_waker_that_panics_is_reported_and_the_others_are_told,
        f15_a_waker_that_runs_the_loop_disturbs_nobody;
    chain:
        f31_w29_map_applies_a_function,
        f31_then_waits_for_the_future_that_was_made,
        f31_or_else_replaces_a_failure,
        f3_a_chain_moves_values_that_are_not_clone,
        f18_a_failure_travels_along_and_is_reported_once,
        d11_a_panic_in_a_function_becomes_the_exception,
        f5_cancelling_a_derived_future_cancels_its_source,
        f5_cancelling_goes_to_the_inner_future_once_there_is_one,
        f5_cancelling_a_source_cancels_what_is_derived,
        f5_no_function_runs_for_a_derived_future_that_was_cancelled,
        f5_or_else_sees_a_cancelled_source,
        f2_a_derived_future_that_was_set_by_hand_stays_so,
        f1_a_future_cannot_wait_for_itself,
        f21_an_inner_future_that_nobody_completes_is_not_leaked,
        f31_w30_a_chain_of_ten_thousand_links_needs_no_stack,
        f31_a_pending_chain_is_dropped_without_stack,
        f31_w32_a_chain_is_cancelled_from_its_end;
    reentrancy:
        f15_f17_user_code_may_do_anything_wherever_it_runs;
    context:
        l53_a_callback_sees_the_values_of_the_place_that_scheduled_it,
        l53_what_a_callback_sets_is_seen_by_what_it_schedules_only,
        l53_l9_a_failing_callback_leaves_nothing_set,
        l53_f9_a_done_callback_sees_the_values_of_the_place_that_added_it,
        l53_f31_a_chain_sees_the_values_of_the_place_that_made_it,
        l53_h2_cancelling_lets_go_of_the_values_at_once,
        l53_l25_closing_drops_the_values_too,
        l53_l31_no_value_goes_to_another_thread,
        l53_a_scoped_future_meets_a_loop_future,
        l53_all_steps_of_a_task_share_the_values_of_its_place,
        l53_an_eager_task_leaves_the_values_of_its_creator;
    conversion:
        f27_a_thread_future_becomes_a_loop_future,
        f27_f11_a_source_that_is_done_is_taken_over_at_once,
        f27_e4_cancelling_the_wrapper_cancels_the_source,
        f27_e4_a_running_source_is_not_interrupted,
        f27_f6_cancelling_the_source_cancels_the_wrapper,
        f27_the_loop_keeps_a_wrapper_for_its_callbacks,
        f27_a_source_that_completes_after_the_close_is_dropped_silently,
        f27_a_wrapper_made_on_a_closed_loop_does_no_harm,
        f27_a_source_that_is_dropped_cancels_the_wrapper,
        f27_a_wrapper_that_was_cancelled_is_left_alone,
        f27_each_wrapper_hears_for_itself,
        f27_a_wrapper_that_was_set_by_hand_is_kept_no_longer,
        f27_values_need_not_be_clone,
        f27_e11_a_job_comes_home,
        f27_a_loop_future_becomes_a_thread_future,
        f27_cancelling_the_thread_future_cancels_the_loop_future,
        f27_f6_cancelling_the_loop_future_cancels_the_thread_future,
        f27_a_loop_future_that_is_dropped_cancels_the_thread_future,
        f27_closing_the_loop_cancels_the_thread_future,
        f27_f27_a_time_out_cancels_nothing,
        f29_blocking_on_a_loop_is_refused;
    model:
        i1_i17_f1_f20_random_programs_behave_like_the_model;
}
