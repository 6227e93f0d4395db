//! smol: its executor for one thread, its timers and channels.

use super::coroutines::{Library, Post};
use futures_channel::oneshot;
use smol::future::yield_now;
use smol::{LocalExecutor, Timer, channel};
use std::time::Duration;
use tulipa::Exception;
use tulipa_bench::figure::Figures;

/// The executor, which lives as long as the program.
#[derive(Clone, Copy)]
pub(super) struct Smol(&'static LocalExecutor<'static>);

pub(super) fn run<F: Future<Output = Result<(), Exception>>>(
    main: impl FnOnce(Smol) -> F,
) -> Result<(), Exception> {
    let executor = Smol(Box::leak(Box::default()));
    smol::block_on(executor.0.run(main(executor)))
}

impl Library for Smol {
    const FIGURES: Figures = Figures("smol");

    fn spawn<T: 'static>(self, task: impl Future<Output = T> + 'static) -> impl Future<Output = T> {
        self.0.spawn(task)
    }

    fn detach(self, task: impl Future<Output = ()> + 'static) {
        self.0.spawn(task).detach();
    }

    fn sleep(self, delay: Duration) -> impl Future + 'static {
        Timer::after(delay)
    }

    fn timer(self, delay: Duration) -> impl Future + Unpin + 'static {
        Timer::after(delay)
    }

    fn yield_now(self) -> impl Future + 'static {
        yield_now()
    }

    fn oneshot<T: 'static>(self) -> (impl FnOnce(T) + 'static, impl Future<Output = T> + 'static) {
        let (sender, receiver) = oneshot::channel();
        // Nobody waits for an answer any more: then it is not needed.
        let send = move |value| drop(sender.send(value));
        (send, async move { receiver.await.expect("every value is sent") })
    }

    fn posts<T: Send + 'static>(self) -> (impl Post<T>, impl AsyncFnMut() -> Option<T>) {
        let (sender, receiver) = channel::unbounded();
        (move |value| sender.try_send(value).is_ok(), async move || receiver.recv().await.ok())
    }
}
