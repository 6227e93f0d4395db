//! Other people's code on our streams and on our loop: hyper, tungstenite, the codecs of tokio-util, the
//! combinators and channels of futures-util and tokio. None of them brings a runtime.

mod foreign_futures;
mod http;
mod http2;
mod http_client;
mod http_ends;
mod io_traits;
mod support;
mod timers;
mod web_sockets;

tulipa_tests::on_every_host! {
    foreign_futures:
        i11_foreign_channels_are_awaited_and_woken_from_other_threads,
        i11_foreign_channels_are_woken_from_the_loops_own_thread,
        i11_foreign_combinators_poll_our_futures_and_tasks,
        i12_without_a_cancellation_a_foreign_future_is_like_ours,
        i12_a_cancelled_task_is_told_by_our_futures_and_dropped_at_foreign_ones,
        i13_done_callbacks_run_on_their_loop_whoever_polls,
        completions_are_a_foreign_stream;
    timers:
        hyper_sleeps_by_the_loops_clock,
        a_sleep_is_moved_without_a_new_one,
        dropping_a_sleep_cancels_its_timer,
        other_threads_may_sleep_on_the_loop,
        a_sleep_that_another_thread_drops_is_cancelled,
        hypers_executor_makes_tasks;
}
