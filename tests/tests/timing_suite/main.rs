//! What is called again and again, or later, on every loop there is (I-17).
//!
//! The checks are written against `dyn Host`; their names begin with the clauses that they hold.

mod looping_call;
mod looping_model;

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
        w20_cancelling_stops_it_and_the_call_under_way,
        w20_w21_it_ends_when_the_call_under_way_has_ended,
        w21_starting_twice_or_stopping_twice_is_an_error,
        w21_it_may_be_started_again_even_from_inside,
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
}
