//! What is called again and again, or later, on every loop there is (I-17).
//!
//! The checks are written against `dyn Host`; their names begin with the clauses that they hold.

mod cooperation;
mod later;
mod looping_call;
mod looping_model;
mod rate;

tulipa_tests::on_every_host! {
    looping_call:
        w18_it_calls_at_once_and_then_at_each_interval,
        w18_it_may_wait_for_the_first_interval,
        w18_its_future_is_done_when_it_stopped_or_failed,
        w18_a_panic_is_a_failure,
        w18_without_an_interval_it_calls_in_each_turn,
        w19_a_call_that_overran_skips_what_it_missed,
        w19_or_moves_the_grid_if_that_is_wanted,
        w20_the_next_call_waits_for_the_future_of_the_last,
        w20_a_shared_future_keeps_its_value,
        w20_a_future_of_another_loop_is_a_failure,
        w20_a_coroutine_counts_as_made_where_its_looping_call_was,
        w20_cancelling_stops_it_and_the_call_under_way,
        w20_cancelled_it_has_no_interval_any_more,
        w20_a_call_that_fails_after_a_cancel_is_reported,
        w20_l25_a_call_that_never_ends_is_freed_with_its_loop,
        w20_w21_it_ends_when_the_call_under_way_has_ended,
        w21_starting_twice_or_stopping_twice_is_an_error,
        w21_it_may_be_started_again_even_from_inside,
        w21_who_is_woken_by_the_end_finds_it_begun_anew,
        w21_a_cancelled_run_leaves_no_timer_for_the_next,
        w22_a_reset_starts_the_grid_afresh,
        w23_it_tells_how_many_intervals_have_passed,
        w24_it_goes_on_after_a_failure_if_that_was_said,
        w24_jitter_moves_calls_but_not_the_grid,
        w24_a_periodic_callback_goes_on_and_begins_after_an_interval,
        w21_the_function_may_do_anything_to_its_looping_call,
        w18_l25_l26_a_closed_loop_ends_it_and_frees_the_function,
        w18_a_scope_ends_it,
        w18_dropping_the_handle_changes_nothing_unless_that_is_wanted;
    later:
        w26_a_call_is_put_off_and_its_future_has_what_it_gave,
        w26_cancelling_calls_it_off,
        w26_l26_on_a_closed_loop_it_is_cancelled;
    cooperation:
        w27_tasks_take_turns_and_others_have_theirs,
        w27_a_slice_is_many_steps_but_not_without_end,
        w27_a_task_is_paused_resumed_and_stopped,
        w27_a_step_may_give_something_to_wait_for,
        w27_a_failing_step_ends_its_task_only,
        w27_a_destructor_that_panics_ends_nobody_elses_work,
        w27_work_that_nobody_holds_takes_only_itself_along,
        w27_a_step_that_fails_after_it_was_stopped_is_reported,
        w27_a_step_may_do_anything_to_its_task,
        w27_l53_steps_see_the_values_of_the_place_that_began_them,
        w27_l25_closing_the_loop_frees_the_work,
        w27_l25_closing_the_loop_frees_work_that_waits_and_all_of_it;
    rate:
        a_rate_limiter_serves_who_waits_in_order_at_the_rate,
        who_is_cancelled_takes_nothing_from_a_rate_limiter,
        a_rate_limiter_can_be_asked_without_waiting,
        a_smaller_store_refuses_who_waits_for_more_than_it_holds;
}
