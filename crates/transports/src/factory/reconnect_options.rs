//! [`ReconnectOptions`]: how a client keeps its connection up; and [`ClientEvent`], what it tells.

use super::{Backoff, ReconnectingClient};
use crate::Transport;
use futures::Exception;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// How a [`ReconnectingClient`] keeps its connection up. Made by default, or from a [`Backoff`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tulipa_transports::{Backoff, ClientEvent, ReconnectOptions};
/// let backoff = Backoff::default().max_delay(Duration::from_secs(60)).max_retries(10);
/// let options = ReconnectOptions::from(backoff)
///     .reset_after(Duration::from_secs(30))
///     .on_event(|_, event| match event {
///         ClientEvent::ConnectionFailed { reason, .. } => eprintln!("{reason}"),
///         _ => {}
///     });
/// ```
#[must_use = "options do nothing by themselves"]
pub struct ReconnectOptions {
    pub(super) backoff: Backoff,
    pub(super) reset_after: Option<Duration>,
    pub(super) random: Random,
    pub(super) observer: Option<Observer>,
}

pub(super) type Random = Box<dyn FnMut() -> f64>;
pub(super) type Observer = Box<dyn FnMut(&ReconnectingClient, ClientEvent)>;

/// What becomes of a [`ReconnectingClient`]'s connection.
#[derive(Clone)]
#[non_exhaustive]
pub enum ClientEvent {
    /// An attempt begins.
    Connecting,
    /// The connection is there.
    Connected(Rc<dyn Transport>),
    /// The attempt has failed.
    ConnectionFailed {
        /// Why.
        reason: Exception,
        /// How long until the next attempt; `None` if there is none.
        retry_in: Option<Duration>,
    },
    /// The connection is gone, after its protocol was told.
    ConnectionLost {
        /// What the protocol was told.
        reason: Option<Exception>,
        /// How long until the next attempt; `None` if there is none.
        retry_in: Option<Duration>,
    },
}

impl fmt::Debug for ClientEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientEvent::Connecting => f.write_str("Connecting"),
            ClientEvent::Connected(_) => f.write_str("Connected"),
            ClientEvent::ConnectionFailed { reason, retry_in } => {
                write!(f, "ConnectionFailed({reason:?}, retry in {retry_in:?})")
            }
            ClientEvent::ConnectionLost { reason, retry_in } => match reason {
                Some(reason) => write!(f, "ConnectionLost({reason:?}, retry in {retry_in:?})"),
                None => write!(f, "ConnectionLost(retry in {retry_in:?})"),
            },
        }
    }
}

impl Default for ReconnectOptions {
    fn default() -> Self {
        Backoff::default().into()
    }
}

impl From<Backoff> for ReconnectOptions {
    fn from(backoff: Backoff) -> Self {
        Self { backoff, reset_after: None, random: Box::new(fastrand::f64), observer: None }
    }
}

impl ReconnectOptions {
    /// Begins the waiting times anew by itself when a connection was up for so long. By default only
    /// [`reset_delay`](ReconnectingClient::reset_delay) does: who knows what a success is, logged in, say,
    /// calls it then.
    pub fn reset_after(mut self, up: Duration) -> Self {
        self.reset_after = Some(up);
        self
    }

    /// Where chance comes from: numbers from 0 up to 1, all equally likely. By default from `fastrand`;
    /// a test has its own.
    pub fn random(mut self, random: impl FnMut() -> f64 + 'static) -> Self {
        self.random = Box::new(random);
        self
    }

    /// Calls `observer` with what happens, each in a turn of the client's own: to tell the user, or to stop
    /// trying for some errors.
    pub fn on_event(
        mut self,
        observer: impl FnMut(&ReconnectingClient, ClientEvent) + 'static,
    ) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }
}

impl fmt::Debug for ReconnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectOptions")
            .field("backoff", &self.backoff)
            .field("reset_after", &self.reset_after)
            .finish_non_exhaustive()
    }
}
