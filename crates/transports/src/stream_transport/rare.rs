//! [`Rare`]: what most connections never need, or only for a moment. It is made on demand, and freed
//! when nothing is left in it.

use super::bandwidth::Limited;
use super::budget::Watched;
use super::descriptors::Descriptors;
use super::file::{FileJob, FileOutcome};
#[cfg(feature = "tls")]
use super::layered::Upper;
use super::unread::Unread;
use super::{Kept, Opened, StreamHandle, StreamTransport};
use crate::backend::Backend;
#[cfg(feature = "tls")]
use crate::tls::Dress;
use crate::{Address, Protocol, TlsInfo, WriteBufferLimits};
use futures::{Exception, Future, Scheduler, TimerHandle};
use std::cell::Cell;
use std::rc::{Rc, Weak};

/// What is told to whoever waits for a connect.
pub(crate) type OnConnect<B> = Box<dyn FnOnce(&Rc<StreamTransport<B>>)>;

pub(super) struct Rare<B: Backend> {
    /// The protocol that follows the one that is running.
    pub(super) successor: Option<Box<dyn Protocol>>,
    /// Why it ended.
    pub(super) reason: Option<Exception>,
    /// Those who wait until all is sent.
    pub(super) drained: Vec<Future<()>>,
    /// Those who wait for the end.
    pub(super) closed: Vec<Future<()>>,
    /// The handle that users hold, if one does.
    pub(super) handle: Weak<StreamHandle<Kept<B>>>,
    /// Ends a close that takes too long.
    pub(super) linger: Option<TimerHandle>,
    /// The bandwidth that it keeps to.
    pub(super) limited: Option<Box<Limited>>,
    /// What is known for its budget.
    pub(super) watched: Option<Box<Watched>>,
    /// Whose `create_connection` this is.
    pub(super) opened: Option<Opened>,
    /// A connect is under way.
    pub(super) connecting: Option<OnConnect<B>>,
    pub(super) dropped_writes: u64,
    pub(super) descriptors: Option<Box<Descriptors>>,
    /// The file that is being sent.
    pub(super) file: Option<Box<FileJob>>,
    /// Files whose end is to be told.
    pub(super) file_outcomes: Vec<FileOutcome>,
    /// What the protocol gave back.
    pub(super) unread: Option<Box<Unread>>,
    /// It was ended with something left to send.
    pub(super) thrown_away: bool,
    /// The transport over this one, which is to be closed in its place.
    #[cfg(feature = "tls")]
    pub(super) upper: Option<Weak<dyn Upper>>,
    /// What goes around the handle that is given to whoever waits for the connection.
    #[cfg(feature = "tls")]
    pub(super) dress: Option<Dress>,
}

impl<B: Backend> Default for Rare<B> {
    fn default() -> Self {
        Self {
            successor: None,
            reason: None,
            drained: Vec::new(),
            closed: Vec::new(),
            handle: Weak::new(),
            linger: None,
            limited: None,
            watched: None,
            opened: None,
            connecting: None,
            dropped_writes: 0,
            descriptors: None,
            file: None,
            file_outcomes: Vec::new(),
            unread: None,
            thrown_away: false,
            #[cfg(feature = "tls")]
            upper: None,
            #[cfg(feature = "tls")]
            dress: None,
        }
    }
}

impl<B: Backend> Rare<B> {
    fn is_empty(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.upper.is_some() || self.dress.is_some() {
            return false;
        }
        self.successor.is_none()
            && self.reason.is_none()
            && self.drained.is_empty()
            && self.closed.is_empty()
            && self.handle.strong_count() == 0
            && self.linger.is_none()
            && self.limited.is_none()
            && self.watched.is_none()
            && self.opened.is_none()
            && self.connecting.is_none()
            && self.dropped_writes == 0
            && self.descriptors.as_ref().is_none_or(|descriptors| descriptors.is_empty())
            && self.file.is_none()
            && self.file_outcomes.is_empty()
            && self.unread.is_none()
            && !self.thrown_away
    }
}

impl<B: Backend> StreamTransport<B> {
    /// Looks at the rare things, or changes them. `function` calls no user code, and moves out what
    /// it removes.
    pub(super) fn rare<R>(&self, function: impl FnOnce(&mut Rare<B>) -> R) -> R {
        let mut rare = self.rare.take().unwrap_or_default();
        let result = function(&mut rare);
        if !rare.is_empty() {
            self.rare.set(Some(rare));
        }
        result
    }

    /// As [`rare`](StreamTransport::rare), for what is only there if something was put there.
    pub(super) fn if_rare<R>(&self, function: impl FnOnce(&mut Rare<B>) -> Option<R>) -> Option<R> {
        let mut rare = self.rare.take()?;
        let result = function(&mut rare);
        if !rare.is_empty() {
            self.rare.set(Some(rare));
        }
        result
    }

    /// Tells `on_connect` when the connect that is under way has ended.
    pub(crate) fn set_connecting(&self, on_connect: OnConnect<B>) {
        self.rare(|rare| rare.connecting = Some(on_connect));
    }

    /// Leaves in the user's handle what it is to answer after the end.
    pub(crate) fn leave_word(self: &Rc<Self>, reason: Option<Exception>) {
        let Some(handle) = self.if_rare(|rare| rare.handle.upgrade()) else { return };
        let info = B::extra_info(self);
        handle.end(Ended {
            scheduler: self.event_loop().to_rc(),
            peername: info.peername,
            sockname: info.sockname,
            reason,
            tls: info.tls,
            limits: self.machine.borrow().limits().marks,
            dropped_writes: Cell::new(self.rare(|rare| rare.dropped_writes)),
        });
    }
}

/// What a handle still knows after the end.
#[derive(Clone)]
pub(super) struct Ended {
    pub(super) scheduler: Rc<dyn Scheduler>,
    pub(super) peername: Option<Address>,
    pub(super) sockname: Option<Address>,
    pub(super) reason: Option<Exception>,
    pub(super) tls: Option<Rc<TlsInfo>>,
    pub(super) limits: WriteBufferLimits,
    pub(super) dropped_writes: Cell<u64>,
}
