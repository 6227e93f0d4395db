//! [`select!`](crate::select): a race of futures of different types.

/// Runs futures side by side until the first one ends, cancels the others, then runs the arm of the
/// winner.
///
/// It is [`race`](crate::race()) for outcomes of different types, and all that is said there holds: the
/// futures run in place, in the order in which they are written, and the losers are cancelled and
/// waited for before anything else happens. Each future gives a `Result<T, Exception>`; a foreign one
/// is wrapped in `async { Ok(future.await) }`.
///
/// An arm is `pattern = future => expression`, and the pattern gets the `Result`. The whole gives the
/// winner's expression as an `Ok`, or an `Err` if the task was cancelled and all the futures with it,
/// so it is mostly followed by `?`. The expressions stand where they are written: they may `await`,
/// `return` and `break`, and may use again what the futures borrowed.
///
/// Losers that do not end cancelled go to the last arm, `late(pattern, …) => expression`, if there is
/// one. It has a pattern for each future, in order, which gets an `Option<Result<T, Exception>>`, and
/// it runs before the winner's. Without it, such an outcome is reported to the exception handler.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, Future, Task, select, sleep};
/// # use std::time::Duration;
/// # async fn example(shutdown: Future<()>, mut job: Task<u32>) -> Result<Option<u32>, Exception> {
/// let done = select! {
///     _ = shutdown => None,
///     count = &mut job => Some(count?),
///     _ = sleep(Duration::from_secs(10)) => {
///         println!("it took too long");
///         None
///     }
///     late(_, count, _) => if let Some(count) = count {
///         println!("finished all the same: {:?}", count);
///     },
/// }?;
/// # Ok(done) }
/// ```
#[macro_export]
macro_rules! select {
    // One arm after the other moves between the brackets, each with a name of its own for its outcome.
    (@arms [$($arms:tt)+]) => { $crate::select!(@run [$($arms)+] none) };
    (@arms [$($arms:tt)+] late($($late:pat),+ $(,)?) => $handler:expr $(,)?) => {
        $crate::select!(@run [$($arms)+] ($($late,)+) $handler)
    };
    (@arms [$($arms:tt)*] $pattern:pat = $future:expr => $body:block, $($rest:tt)*) => {
        $crate::select!(@arms [$($arms)* (arm, $pattern, $future, $body)] $($rest)*)
    };
    (@arms [$($arms:tt)*] $pattern:pat = $future:expr => $body:block $($rest:tt)*) => {
        $crate::select!(@arms [$($arms)* (arm, $pattern, $future, $body)] $($rest)*)
    };
    (@arms [$($arms:tt)*] $pattern:pat = $future:expr => $body:expr, $($rest:tt)*) => {
        $crate::select!(@arms [$($arms)* (arm, $pattern, $future, $body)] $($rest)*)
    };
    (@arms [$($arms:tt)*] $pattern:pat = $future:expr => $body:expr) => {
        $crate::select!(@arms [$($arms)* (arm, $pattern, $future, $body)])
    };
    (@run [$(($arm:ident, $pattern:pat, $future:expr, $body:expr))+] $($late:tt)+) => {{
        // The futures are dropped before an arm runs.
        let ended = {
            $(
                let place = ::core::pin::pin!(::core::option::Option::Some($future));
                let mut $arm = $crate::__private::Arm::new(place);
            )+
            let mut arms = [$(&mut $arm as &mut dyn $crate::__private::Contestant),+];
            match $crate::__private::contest(&mut arms).await {
                ::core::result::Result::Ok(()) => {
                    ::core::result::Result::Ok(($($arm.into_outcomes(),)+))
                }
                ::core::result::Result::Err(exception) => ::core::result::Result::Err(exception),
            }
        };
        #[allow(unreachable_code, reason = "an arm may leave the function")]
        let selected = match ended {
            ::core::result::Result::Err(exception) => ::core::result::Result::Err(exception),
            ::core::result::Result::Ok(($(mut $arm,)+)) => {
                let won = ($($arm.won.take(),)+);
                $crate::select!(@late [$($arm)+] $($late)+);
                let ($($arm,)+) = won;
                $(if let ::core::option::Option::Some(outcome) = $arm {
                    let $pattern = outcome;
                    ::core::result::Result::Ok($body)
                } else)+ {
                    ::core::unreachable!("a race ends with a winner")
                }
            }
        };
        selected
    }};
    (@late [$($arm:ident)+] none) => { $($arm.report_late();)+ };
    (@late [$($arm:ident)+] ($($late:pat,)+) $handler:expr) => {{
        let ($($late,)+) = ($($arm.late,)+);
        $handler;
    }};
    ($($arms:tt)+) => { $crate::select!(@arms [] $($arms)+) };
}
