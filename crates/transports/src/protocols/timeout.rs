//! [`IdleTimeout`] and [`TimeoutProtocol`]: what to do about a peer that is silent for too long.
//!
//! Invariant: the timer is due at the deadline or before. A message moves the deadline, which is a number;
//! the timer is armed anew when it fires too early. So a busy connection touches it once in each limit, and
//! not once for each message (H-18).

use crate::{BufferedProtocol, Bytes, Eof, Protocol, Transport, TransportExt};
use futures::{Exception, ExceptionContext, Instant, Scheduler, SchedulerExt, TimerHandle, catch};
use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// A deadline that a protocol puts off whenever its peer says something: Twisted's `TimeoutMixin`, as a
/// field (W-25).
///
/// Putting it off costs a look at the clock; no timer is moved. It is called off when this is dropped,
/// with its protocol. It knows nothing of the transport's state: who pauses reading disarms it meanwhile,
/// or lets `expired` see whether the peer could have been heard. [`TimeoutProtocol`] does so by itself.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tulipa_transports::{IdleTimeout, Protocol, Transport};
///
/// #[derive(Default)]
/// struct Echo { idle: IdleTimeout }
///
/// impl Protocol for Echo {
///     fn connection_made(&mut self, transport: &dyn Transport) {
///         let limit = Duration::from_secs(60);
///         self.idle.start(transport, limit, |_: &mut Echo, transport| transport.close());
///     }
///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
///         self.idle.reset_timeout();
///         transport.write(data);
///     }
/// }
/// ```
#[derive(Default)]
#[must_use = "dropping it calls the time-out off"]
pub struct IdleTimeout {
    watch: Option<Rc<Watch>>,
}

impl IdleTimeout {
    /// Calls `expired` with the protocol once `limit` has passed without a
    /// [reset](IdleTimeout::reset_timeout). The protocol must be a `P` then; if it is gone or was replaced,
    /// nothing happens. One that was started before is called off.
    ///
    /// It finds the protocol by this transport. After `start_tls`, where there is another one, start it again:
    /// in [`handshake_completed`](Protocol::handshake_completed).
    ///
    /// When it expires it is not armed any more; `expired` may start it again. If it panics, that is reported,
    /// and the connection aborted.
    pub fn start<P: Protocol>(
        &mut self,
        transport: &dyn Transport,
        limit: Duration,
        expired: impl FnOnce(&mut P, &dyn Transport) + 'static,
    ) {
        // Outside of a run, the loop is known by what it makes.
        let scheduler = futures::try_current();
        let scheduler = scheduler.unwrap_or_else(|| transport.wait_closed().get_loop());
        let transport = transport.handle();
        self.begin(scheduler, limit, move || {
            let outcome = catch(|| transport.with_protocol(expired));
            // A protocol that is gone or has been replaced is nobody's concern any more. One that panics
            // loses its connection, as in any of its methods (P-14).
            if let Err(panic) = outcome {
                let message = "a protocol panicked when its time was over";
                let mut context = ExceptionContext::with_exception(message, panic.clone());
                context.protocol = Some(type_name::<P>());
                futures::current().call_exception_handler(context);
                transport.abort_with(panic);
            }
        });
    }

    fn begin(
        &mut self,
        scheduler: Rc<dyn Scheduler>,
        limit: Duration,
        expired: impl FnOnce() + 'static,
    ) {
        self.stop();
        let watch = Rc::new(Watch {
            scheduler,
            limit: Cell::new(limit),
            deadline: Cell::new(None),
            timer: RefCell::new(None),
            expired: Cell::new(Some(Box::new(expired))),
        });
        watch.put_off(limit);
        self.watch = Some(watch);
    }

    /// Begins to wait anew, for the same limit from now. Nothing happens unless it is armed.
    #[doc(alias = "resetTimeout")]
    #[inline]
    pub fn reset_timeout(&self) {
        if let Some(watch) = self.armed() {
            watch.put_off(watch.limit.get());
        }
    }

    /// Sets the limit, and begins to wait anew; `None` disarms it. Gives the limit before, `None` if it was
    /// not armed. One that was never [started](IdleTimeout::start), or has expired, stays so: nobody said
    /// what is to happen.
    #[doc(alias = "setTimeout")]
    pub fn set_timeout(&self, limit: Option<Duration>) -> Option<Duration> {
        let watch = self.watch.as_ref()?;
        let before = watch.deadline.get().map(|_| watch.limit.get());
        match limit {
            // The timer stays: it may well be wanted again before it fires, and then finds out.
            None => watch.deadline.set(None),
            Some(limit) if watch.can_expire() => watch.put_off(limit),
            Some(_) => {}
        }
        before
    }

    /// How long a peer may be silent now; `None` if it is not armed.
    pub fn timeout(&self) -> Option<Duration> {
        self.armed().map(|watch| watch.limit.get())
    }

    /// Calls it off, for good: what was to happen is dropped.
    pub fn stop(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.deadline.set(None);
            let timer = watch.timer.take();
            if let Some(timer) = timer {
                timer.cancel();
            }
        }
    }

    #[inline]
    fn armed(&self) -> Option<&Rc<Watch>> {
        self.watch.as_ref().filter(|watch| watch.deadline.get().is_some())
    }
}

impl Drop for IdleTimeout {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for IdleTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdleTimeout").field(&self.timeout()).finish()
    }
}

/// What the protocol and the timer share.
struct Watch {
    scheduler: Rc<dyn Scheduler>,
    limit: Cell<Duration>,
    /// `None`: not armed.
    deadline: Cell<Option<Instant>>,
    timer: RefCell<Option<TimerHandle>>,
    /// `None` once it has expired.
    expired: Cell<Option<Box<dyn FnOnce()>>>,
}

impl Watch {
    fn can_expire(&self) -> bool {
        let expired = self.expired.take();
        let can_expire = expired.is_some();
        self.expired.set(expired);
        can_expire
    }

    /// Moves the deadline; and the timer only if it would come too late.
    #[inline]
    fn put_off(self: &Rc<Self>, limit: Duration) {
        let deadline = self.scheduler.time() + limit;
        self.limit.set(limit);
        self.deadline.set(Some(deadline));
        let is_armed = match &*self.timer.borrow() {
            Some(timer) if timer.when() <= deadline => true,
            Some(timer) => timer.reschedule(deadline),
            None => false,
        };
        if !is_armed {
            self.arm(deadline);
        }
    }

    #[cold]
    fn arm(self: &Rc<Self>, deadline: Instant) {
        let watch = self.clone();
        let timer = self.scheduler.call_at(deadline, move || watch.timer_fired());
        self.timer.replace(Some(timer));
    }

    fn timer_fired(self: &Rc<Self>) {
        self.timer.replace(None);
        match self.deadline.get() {
            None => {}
            Some(deadline) if deadline > self.scheduler.time() => self.arm(deadline),
            Some(_) => {
                self.deadline.set(None);
                if let Some(expired) = self.expired.take() {
                    expired();
                }
            }
        }
    }
}

/// A protocol whose connection is closed when the peer is silent for too long: Twisted's
/// `TimeoutProtocol` (W-25).
///
/// What counts is what the peer does: bytes that come, and output that it takes after it had let it wait.
/// While reading is paused on this side the peer cannot be heard, so that is no silence of its own, unless
/// it lets output wait: once it is listened to again it has at least the whole limit, and at most twice.
/// What it takes of a large output or file is looked at when the limit passes.
///
/// [`with_protocol`](TransportExt::with_protocol) finds it, and the protocol inside as well.
///
/// # Examples
/// ```
/// use {std::time::Duration, tulipa_transports::{Protocol, TimeoutProtocol, Transport}};
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) {}
/// # }
/// let factory = || TimeoutProtocol::new(Echo, Duration::from_secs(60));
/// let polite = || {
///     TimeoutProtocol::new(Echo, Duration::from_secs(60)).on_timeout(|_echo, transport| {
///         transport.write(b"are you still there?\r\n");
///         transport.close();
///     })
/// };
/// # let _ = (factory(), polite());
/// ```
pub struct TimeoutProtocol<P> {
    inner: P,
    limit: Option<Duration>,
    idle: IdleTimeout,
    on_timeout: Option<OnTimeout<P>>,
    seen: Seen,
}

/// What a connection looked like when its peer was last heard of, or when the limit last passed.
#[derive(Default)]
struct Seen {
    /// The peer ended its direction, so it is not to be heard any more.
    ended: bool,
    /// It was not listened to.
    unheard: bool,
    unsent: usize,
    of_file: Option<u64>,
}

type OnTimeout<P> = Box<dyn FnMut(&mut P, &dyn Transport)>;

impl<P: Protocol> TimeoutProtocol<P> {
    /// Closes the connection of `inner` once its peer has been silent for `limit`.
    pub fn new(inner: P, limit: Duration) -> Self {
        let (limit, idle, seen) = (Some(limit), IdleTimeout::default(), Seen::default());
        Self { inner, limit, idle, on_timeout: None, seen }
    }

    /// What is done in place of closing. If the connection is still open afterwards, the next silence
    /// counts from then.
    #[must_use]
    pub fn on_timeout(mut self, react: impl FnMut(&mut P, &dyn Transport) + 'static) -> Self {
        self.on_timeout = Some(Box::new(react));
        self
    }

    /// The protocol inside.
    pub fn inner(&mut self) -> &mut P {
        &mut self.inner
    }

    /// Sets the limit, and begins to wait anew if there is a connection; `None` is no limit. Gives the
    /// limit before.
    #[doc(alias = "setTimeout")]
    pub fn set_timeout(&mut self, limit: Option<Duration>) -> Option<Duration> {
        self.idle.set_timeout(limit);
        std::mem::replace(&mut self.limit, limit)
    }

    /// Begins to wait on `transport`, or to be told a limit.
    fn arm(&mut self, transport: &dyn Transport) {
        self.idle.start(transport, self.limit.unwrap_or(Duration::MAX), Self::timed_out);
        if self.limit.is_none() {
            self.idle.set_timeout(None);
        }
    }

    fn heard(&mut self) {
        self.seen.unheard = false;
        self.idle.reset_timeout();
    }

    fn timed_out(&mut self, transport: &dyn Transport) {
        if self.seen.is_excused(transport) {
            return self.arm(transport);
        }
        let Some(react) = &mut self.on_timeout else { return transport.close() };
        // Armed before, so that the reaction can set another limit.
        if let Some(limit) = self.limit {
            self.idle.start(transport, limit, Self::timed_out);
        }
        react(&mut self.inner, transport);
        if transport.is_closing() {
            self.idle.stop();
        }
    }
}

impl Seen {
    /// Whether a peer that said nothing for a whole limit is not to blame.
    fn is_excused(&mut self, transport: &dyn Transport) -> bool {
        if transport.is_closing() {
            return false;
        }
        let (unsent, of_file) = (transport.get_write_buffer_size().0, transport.file_bytes_sent());
        let is_owed_nothing = unsent == 0 && of_file.is_none();
        let unheard = is_owed_nothing && !self.ended && !transport.is_reading();
        let takes_file = of_file.is_some() && of_file != self.of_file;
        let takes_output = unsent < self.unsent || takes_file;
        let was_unheard = std::mem::replace(&mut self.unheard, unheard);
        (self.unsent, self.of_file) = (unsent, of_file);
        // What it said meanwhile may be read after this, in the same turn.
        unheard || was_unheard && is_owed_nothing || takes_output
    }
}

impl<P: Protocol> Protocol for TimeoutProtocol<P> {
    fn connection_made(&mut self, transport: &dyn Transport) {
        self.arm(transport);
        self.inner.connection_made(transport);
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.heard();
        self.inner.data_received(transport, data);
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Eof {
        self.heard();
        self.seen.ended = true;
        self.inner.eof_received(transport)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, reason: Option<Exception>) {
        self.idle.stop();
        self.inner.connection_lost(transport, reason);
    }

    fn handshake_completed(&mut self, transport: &dyn Transport) {
        // It is another transport, by which the protocol is found now; by the old one it was not.
        self.seen = Seen::default();
        self.arm(transport);
        self.inner.handshake_completed(transport);
    }

    fn pause_writing(&mut self, transport: &dyn Transport) {
        self.seen.unsent = transport.get_write_buffer_size().0;
        self.inner.pause_writing(transport);
    }

    fn resume_writing(&mut self, transport: &dyn Transport) {
        self.heard();
        self.seen.unsent = 0;
        self.inner.resume_writing(transport);
    }

    fn shutdown_requested(&mut self, transport: &dyn Transport) {
        self.inner.shutdown_requested(transport);
    }

    fn memory_held(&self) -> Bytes {
        self.inner.memory_held()
    }

    fn as_buffered(&mut self) -> Option<&mut dyn BufferedProtocol> {
        match self.inner.as_buffered().is_some() {
            true => Some(self),
            false => None,
        }
    }

    fn with_inner(
        &mut self,
        transport: &dyn Transport,
        function: &mut dyn FnMut(&mut dyn Protocol, &dyn Transport),
    ) {
        function(&mut self.inner, transport);
    }

    fn type_name(&self) -> &'static str {
        self.inner.type_name()
    }
}

/// For a protocol inside that provides its own buffers.
impl<P: Protocol> BufferedProtocol for TimeoutProtocol<P> {
    fn get_buffer(&mut self, transport: &dyn Transport, size_hint: Option<usize>) -> &mut [u8] {
        match self.inner.as_buffered() {
            Some(inner) => inner.get_buffer(transport, size_hint),
            None => &mut [],
        }
    }

    fn buffer_updated(&mut self, transport: &dyn Transport, count: usize) {
        self.heard();
        if let Some(inner) = self.inner.as_buffered() {
            inner.buffer_updated(transport, count);
        }
    }
}

impl<P: fmt::Debug> fmt::Debug for TimeoutProtocol<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutProtocol")
            .field("inner", &self.inner)
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}
