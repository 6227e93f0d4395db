//! [`join`], [`join_all`] and the macro `gather!`: several things at once, as parts of the task that
//! waits.
//!
//! Each part is a [`Branch`], polled in place. Nothing of it can go on without the others: so the
//! first failure has the others cancelled, and the whole is over when every part is.

use crate::task::branch::ask_around;
use crate::task::wait_set::CancelRequest;
use crate::task::{Branch, BranchEnd, BranchId};
use crate::{CancelledError, Exception};
use std::future::{IntoFuture, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// Awaits several things at once, in place: `gather!(a, b, c).await` gives `Ok((a, b, c))`, or the
/// first failure. One to twelve of them, each of a type of its own; [`join`](crate::join()) on a
/// tuple, under the name that it has in asyncio.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, gather, sleep};
/// # async fn example() -> Result<(), Exception> {
/// let words = vec!["tulip".to_owned(), "rose".to_owned()];
/// let longest = async { Ok(words.iter().map(String::len).max()) }; // borrows
/// let nap = sleep(std::time::Duration::from_millis(5));
/// let (longest, ()) = gather!(longest, nap).await?;
/// assert_eq!(longest, Some(5));
/// # Ok(()) }
/// ```
#[macro_export]
macro_rules! gather {
    ($($awaitable:expr),+ $(,)?) => { $crate::join(($($awaitable,)+)) };
}

/// Awaits all of a tuple at once, as parts of the running task, which may borrow from it: the values
/// in a tuple, or the first failure.
///
/// When one fails, the others are cancelled as a task is: the `.await` at which each stands fails
/// with [`CancelledError`], and each is awaited to its end. Only then the first failure is returned;
/// what the others ended with is dropped, values and failures alike. This is where it differs from
/// [`gather`](crate::gather()), whose children go on by themselves: a part has no life apart from the
/// task that is to go on with the failure. A task or future of a loop that is given as a part, or
/// awaited in one, is cancelled like anything else that is waited for; [`shield`](crate::shield) it if
/// it has to go on.
///
/// Cancelling the task cancels every part. If they all succeed in spite of that without noticing, the
/// values are returned, and the task's next wait is told instead: none is lost. Dropping it drops the
/// parts where they stand.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, join, sleep};
/// # async fn example() -> Result<(), Exception> {
/// let (seven, name) = join((async { Ok(7) }, async { Ok("tulip") })).await?;
/// # Ok(()) }
/// ```
pub async fn join<P: JoinParts>(parts: P) -> Result<P::Values, Exception> {
    parts.join().await
}

/// Awaits all of `awaitables` at once, as parts of the running task: the values in their order, or
/// the first failure. By the rules of [`join`](join()).
///
/// A wake-up of the task polls all parts that have not ended: for thousands of them take
/// [`gather`](crate::gather()), which makes them tasks.
///
/// # Examples
/// ```
/// # use tulipa_futures::{Exception, join_all};
/// # async fn example() -> Result<(), Exception> {
/// let words = ["tulip", "rose"];
/// let lengths = join_all(words.iter().map(|word| async { Ok(word.len()) })).await?;
/// assert_eq!(lengths, [5, 4]);
/// # Ok(()) }
/// ```
pub fn join_all<T, I>(awaitables: I) -> impl std::future::Future<Output = Result<Vec<T>, Exception>>
where
    I: IntoIterator,
    I::Item: IntoFuture<Output = Result<T, Exception>>,
{
    let mut bodies: Vec<_> =
        awaitables.into_iter().map(|awaitable| Box::pin(Some(awaitable.into_future()))).collect();
    async move {
        let mut parts: Vec<_> = (0..bodies.len()).map(Part::new).collect();
        let mut whole = Whole::new(parts.iter().map(Part::running).collect::<Vec<_>>());
        poll_fn(|context| {
            for (part, body) in parts.iter_mut().zip(&mut bodies) {
                part.poll(body.as_mut(), context, &mut whole);
            }
            whole.poll()
        })
        .await;
        whole.end(|| parts.iter_mut().map(|part| part.value.take()).collect())
    }
}

/// A tuple of one to twelve things that can be awaited. What [`join`](join()) takes.
pub trait JoinParts {
    /// The tuple of their values.
    type Values;

    /// See [`join`](join()).
    fn join(self) -> impl std::future::Future<Output = Result<Self::Values, Exception>>;
}

macro_rules! join_parts {
    ($($awaitable:ident $value:ident $part:ident $body:ident),+) => {
        impl<$($awaitable, $value),+> JoinParts for ($($awaitable,)+)
        where
            $($awaitable: IntoFuture<Output = Result<$value, Exception>>),+
        {
            type Values = ($($value,)+);

            async fn join(self) -> Result<Self::Values, Exception> {
                let ($($body,)+) = self;
                let mut index = 0..;
                $(
                    let mut $part = Part::new(index.next().unwrap_or_default());
                    let mut $body = pin!(Some($body.into_future()));
                )+
                let mut whole = Whole::new([$($part.running()),+]);
                poll_fn(|context| {
                    $($part.poll($body.as_mut(), context, &mut whole);)+
                    whole.poll()
                })
                .await;
                whole.end(|| Some(($($part.value.take()?,)+)))
            }
        }
    };
}

join_parts!(A TA a fa);
join_parts!(A TA a fa, B TB b fb);
join_parts!(A TA a fa, B TB b fb, C TC c fc);
join_parts!(A TA a fa, B TB b fb, C TC c fc, D TD d fd);
join_parts!(A TA a fa, B TB b fb, C TC c fc, D TD d fd, E TE e fe);
join_parts!(A TA a fa, B TB b fb, C TC c fc, D TD d fd, E TE e fe, F TF f ff);
join_parts!(A TA a fa, B TB b fb, C TC c fc, D TD d fd, E TE e fe, F TF f ff, G TG g fg);
join_parts!(A TA a fa, B TB b fb, C TC c fc, D TD d fd, E TE e fe, F TF f ff, G TG g fg, H TH h fh);
join_parts!(A TA a fa, B TB b fb, C TC c fc, D TD d fd, E TE e fe, F TF f ff, G TG g fg, H TH h fh,
    I TI i fi);
join_parts!(A TA a fa, B TB b fb, C TC c fc, D TD d fd, E TE e fe, F TF f ff, G TG g fg, H TH h fh,
    I TI i fi, J TJ j fj);
join_parts!(A TA a fa, B TB b fb, C TC c fc, D TD d fd, E TE e fe, F TF f ff, G TG g fg, H TH h fh,
    I TI i fi, J TJ j fj, K TK k fk);
join_parts!(A TA a fa, B TB b fb, C TC c fc, D TD d fd, E TE e fe, F TF f ff, G TG g fg, H TH h fh,
    I TI i fi, J TJ j fj, K TK k fk, L TL l fl);

/// One part: its branch, and its value once it is there.
struct Part<T> {
    index: usize,
    branch: Branch,
    value: Option<T>,
}

impl<T> Part<T> {
    fn new(index: usize) -> Self {
        Self { index, branch: Branch::new(), value: None }
    }

    fn running(&self) -> Option<BranchId> {
        Some(self.branch.id())
    }

    /// Polls it, unless it has ended.
    fn poll<F, B>(
        &mut self,
        mut body: Pin<&mut Option<F>>,
        context: &mut Context<'_>,
        whole: &mut Whole<B>,
    ) where
        F: std::future::Future<Output = Result<T, Exception>>,
        B: AsMut<[Option<BranchId>]>,
    {
        if whole.has_ended(self.index) {
            return;
        }
        let Poll::Ready(end) = self.branch.poll(body.as_mut(), context) else { return };
        body.set(None);
        whole.note_end(self.index);
        match end {
            BranchEnd::Output(Ok(value), unnoticed) => {
                self.value = Some(value);
                if whole.unnoticed.is_none() {
                    whole.unnoticed = unnoticed.map(|request| (request, self.branch.asked()));
                }
            }
            BranchEnd::Output(Err(failure), _) => whole.fail(failure),
            BranchEnd::Dropped(CancelRequest(message)) => {
                whole.fail(CancelledError::from(message).into());
            }
        }
    }
}

/// What the parts have to do with each other.
struct Whole<B> {
    /// The parts that have not ended, each at its place.
    running: B,
    left: usize,
    failure: Option<Exception>,
    /// A cancellation that a part has not noticed before it succeeded, and the depth of the coroutine
    /// that it was made to.
    unnoticed: Option<(CancelRequest, u16)>,
    /// The depth of the outermost coroutine that was cancelled, if parts were not only by the failure
    /// of another.
    outermost: Option<u16>,
}

impl<B: AsMut<[Option<BranchId>]>> Whole<B> {
    fn new(mut running: B) -> Self {
        let left = running.as_mut().len();
        Self { running, left, failure: None, unnoticed: None, outermost: None }
    }

    fn has_ended(&mut self, index: usize) -> bool {
        self.running.as_mut()[index].is_none()
    }

    fn note_end(&mut self, index: usize) {
        self.left -= 1;
        if let Some(id) = self.running.as_mut()[index].take() {
            let outermost = self.outermost.into_iter().chain(id.received().outermost);
            self.outermost = outermost.min();
        }
    }

    /// Cancels the other parts, if this is the first failure.
    fn fail(&mut self, failure: Exception) {
        if self.failure.is_some() {
            return;
        }
        // Those whom the cancellation of the task has reached already need not be told again.
        let told = failure.is_cancelled();
        self.failure = Some(failure);
        for part in self.running.as_mut().iter().flatten() {
            if !(told && part.asked() > 0) {
                part.cancel(None);
            }
        }
    }

    fn poll(&self) -> Poll<()> {
        match self.left {
            0 => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }

    /// The outcome. A cancellation of the task that it does not show goes to the task's next wait.
    fn end<V>(self, values: impl FnOnce() -> Option<V>) -> Result<V, Exception> {
        let untold = match &self.failure {
            None => self.unnoticed,
            Some(failure) if failure.is_cancelled() => None,
            Some(_) => self.outermost.map(|depth| (CancelRequest(None), depth)),
        };
        if let Some((request, asked)) = untold {
            ask_around(request, asked);
        }
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(values().expect("without a failure every part has a value")),
        }
    }
}
