//! tokio: one thread, and tasks that need not be able to move to another.

use super::coroutines::{Library, Post};
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{spawn_local, yield_now};
use tokio::time::sleep;
use tulipa::Exception;
use tulipa_bench::figure::Figures;

/// Its functions find the runtime themselves.
#[derive(Clone, Copy)]
pub(super) struct Tokio;

pub(super) fn run<F: Future<Output = Result<(), Exception>>>(
    main: impl FnOnce(Tokio) -> F,
) -> Result<(), Exception> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(main(Tokio))
}

impl Library for Tokio {
    const FIGURES: Figures = Figures("tokio");

    fn spawn<T: 'static>(self, task: impl Future<Output = T> + 'static) -> impl Future<Output = T> {
        let handle = spawn_local(task);
        async move { handle.await.expect("tasks here neither panic nor are cancelled") }
    }

    fn detach(self, task: impl Future<Output = ()> + 'static) {
        spawn_local(task);
    }

    fn sleep(self, delay: Duration) -> impl Future + 'static {
        sleep(delay)
    }

    fn timer(self, delay: Duration) -> impl Future + Unpin + 'static {
        Box::pin(sleep(delay))
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
        let (sender, mut receiver) = mpsc::unbounded_channel();
        (move |value| sender.send(value).is_ok(), async move || receiver.recv().await)
    }
}
