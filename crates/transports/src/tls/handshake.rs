//! [`Handshake`]: what is between an open connection below and one that a protocol is told of.
//!
//! Invariant: it ends once: the protocol is made, or resumed, and the creator's future will be done; or
//! both are let go, and the connection below is closed (X-44, N-56). Whichever happens first counts: the
//! end of the handshake, its deadline, a fault, the end of the connection below, or that nobody wants it
//! any more.

use super::backend::{TlsBackend, TlsConnection, cancel};
use super::{TlsError, TlsState};
use crate::Protocol;
use crate::stream_transport::Opened;
use futures::{Exception, SchedulerExt, TimerHandle, catch};
use std::rc::Rc;

/// The protocol of the connection, once there is one.
pub(crate) enum Later {
    /// It is made when the handshake has succeeded; `None` refuses the connection.
    Make(MakeProtocol),
    /// It had the connection before, and goes on with it. `None` as long as one of its methods runs.
    Resume(Option<Box<dyn Protocol>>),
}

pub(crate) type MakeProtocol = Box<dyn FnOnce() -> Result<Option<Box<dyn Protocol>>, Exception>>;

/// What is told of a handshake that failed.
pub(crate) type OnFailure = Box<dyn FnOnce(&Exception)>;

pub(crate) struct Handshake {
    pub(super) protocol: Later,
    pub(super) opened: Option<Opened>,
    pub(super) on_failure: Option<OnFailure>,
    deadline: Option<TimerHandle>,
}

impl Handshake {
    pub(super) fn new(
        protocol: Later,
        opened: Option<Opened>,
        on_failure: Option<OnFailure>,
    ) -> Box<Self> {
        Box::new(Self { protocol, opened, on_failure, deadline: None })
    }

    /// Begins it: `unread` came from the peer already.
    pub(super) fn begin(connection: &Rc<TlsConnection>, unread: &[u8]) {
        let backend = connection.backend();
        let Some(mut handshake) = backend.handshake.take() else { return };
        let limit = backend.limits.handshake;
        let weak = Rc::downgrade(connection);
        handshake.deadline = Some(connection.event_loop().call_later(limit, move || {
            if let Some(connection) = weak.upgrade() {
                let error = TlsError::too_slow(limit);
                Self::fail(&connection, connection.backend().error(error));
            }
        }));
        if let Some(opened) = &handshake.opened {
            let weak = Rc::downgrade(connection);
            opened.add_done_callback(move |opened| {
                if opened.cancelled()
                    && let Some(connection) = weak.upgrade()
                {
                    Self::call_off(&connection);
                }
            });
        }
        backend.handshake.set(Some(handshake));
        backend.with_session(|session| {
            session.begin();
            session.receive(unread);
        });
        backend.send_output();
        backend.lower().resume_reading();
    }

    pub(super) fn is_under_way(backend: &TlsBackend) -> bool {
        let handshake = backend.handshake.take();
        let is_under_way = handshake.is_some();
        backend.handshake.set(handshake);
        is_under_way
    }

    /// Gives it the protocol that had the connection before, if it waits for one.
    pub(super) fn resume_with(
        connection: &Rc<TlsConnection>,
        protocol: Box<dyn Protocol>,
    ) -> Option<Box<dyn Protocol>> {
        let backend = connection.backend();
        let Some(mut handshake) = backend.handshake.take() else {
            return connection.resume_late(protocol);
        };
        let left = match &mut handshake.protocol {
            Later::Resume(place @ None) => {
                *place = Some(protocol);
                None
            }
            Later::Resume(Some(_)) | Later::Make(_) => Some(protocol),
        };
        backend.handshake.set(Some(handshake));
        left
    }

    /// Something came: says whether the handshake is over, and well.
    pub(super) fn go_on(connection: &Rc<TlsConnection>) -> bool {
        let backend = connection.backend();
        let state = backend.with_session(|session| match session.failure() {
            Some(failure) => Err(failure.clone()),
            None => Ok(session.state()),
        });
        match state {
            None | Some(Ok(TlsState::Unwrapped | TlsState::Handshaking)) => false,
            Some(Ok(_)) => {
                Self::succeed(connection);
                true
            }
            Some(Err(failure)) => {
                let error = backend.error(failure);
                Self::fail_politely(connection, error);
                false
            }
        }
    }

    fn succeed(connection: &Rc<TlsConnection>) {
        let backend = connection.backend();
        let Some(mut handshake) = backend.handshake.take() else { return };
        cancel(handshake.deadline.take());
        backend.settle_info();
        let protocol = match handshake.protocol {
            Later::Resume(protocol) => {
                connection.set_resumed();
                Ok(protocol)
            }
            // User code: nothing is borrowed, and no more than this is decided yet.
            Later::Make(make) => catch(make).and_then(|made| made),
        };
        match protocol {
            Ok(Some(protocol)) => connection.open(protocol, handshake.opened),
            Ok(None) => {
                backend.with_session(|session| session.say_goodbye());
                backend.send_output();
                backend.close_politely();
                connection.fail(handshake.opened, None);
            }
            Err(exception) => connection.fail(handshake.opened, Some(exception)),
        }
    }

    /// It failed. What the library has to say about that is sent, then the connection below is closed.
    pub(super) fn fail_politely(connection: &Rc<TlsConnection>, reason: Exception) {
        connection.backend().close_politely();
        Self::fail(connection, reason);
    }

    /// It failed, and the connection below is cut.
    pub(super) fn fail(connection: &Rc<TlsConnection>, reason: Exception) {
        if let Some(opened) = Self::let_go(connection, &reason) {
            connection.fail(opened, Some(reason));
        }
    }

    /// It failed, in a turn of the lower transport in which no user code has run.
    pub(super) fn fail_at_once(connection: &Rc<TlsConnection>, reason: Exception) {
        if let Some(opened) = Self::let_go(connection, &reason) {
            connection.fail(opened, Some(reason));
            connection.end_with_layer(None); // the end was decided before: this tells it
        }
    }

    /// Nobody waits for it any more, or it is to be closed (X-46, N-56).
    pub(super) fn call_off(connection: &Rc<TlsConnection>) {
        let error = TlsError::closed_in_handshake();
        Self::fail(connection, connection.backend().error(error));
    }

    /// Ends it. A protocol that goes on with the connection is put where it is told of its loss; one that
    /// was to be made is not.
    fn let_go(connection: &Rc<TlsConnection>, reason: &Exception) -> Option<Option<Opened>> {
        let backend = connection.backend();
        let mut handshake = backend.handshake.take()?;
        cancel(handshake.deadline.take());
        if let Some(on_failure) = handshake.on_failure.take() {
            on_failure(reason);
        }
        match handshake.protocol {
            Later::Resume(protocol) => connection.resume_with(protocol),
            Later::Make(make) => {
                // What it holds is the user's.
                if let Err(exception) = catch(move || drop(make)) {
                    connection.report("a destructor panicked", &exception, "the factory");
                }
            }
        }
        Some(handshake.opened)
    }
}
