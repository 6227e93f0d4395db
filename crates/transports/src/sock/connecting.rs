//! `sock_connect`.

use super::operation::{Attempt, Base, sealed::Work};
use super::sending_file::when_done;
use super::target::{Place, SockTarget, sock_addr};
use crate::resolve::resolve;
use crate::{Address, Family};
use eventloop::Direction;
use futures::{Exception, Future};
use rustix::io::Errno;
use socket2::{Domain, SockRef};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// See [`SocketLoop::sock_connect`](crate::SocketLoop::sock_connect).
pub struct Connect {
    target: SockTarget,
    stage: Stage,
    /// How long to wait for a place in a Unix server's queue.
    retry: Duration,
}

enum Stage {
    New,
    LookUp(Future<Vec<SocketAddr>>),
    /// The address that is connected to.
    Found(Address),
    /// That is under way.
    Connecting(Address),
}

/// How long to wait for a place in a Unix server's queue: at first, and at most.
const FIRST_RETRY: Duration = Duration::from_millis(2);
const LAST_RETRY: Duration = Duration::from_millis(100);

impl Connect {
    pub(super) fn new(target: SockTarget) -> Self {
        Self { target, stage: Stage::New, retry: FIRST_RETRY }
    }

    fn begin(&self, base: &Base) -> io::Result<Stage> {
        base.check_non_blocking()?;
        match &self.target.0 {
            Place::Address(address) => Ok(Stage::Found(address.clone())),
            Place::Host { host, port } => {
                let family = match SockRef::from(&base.socket()).domain()? {
                    Domain::IPV4 => Some(Family::V4),
                    Domain::IPV6 => Some(Family::V6),
                    _ => {
                        let message = "the socket has no hosts to connect to";
                        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
                    }
                };
                Ok(Stage::LookUp(resolve(&*base.event_loop, host, *port, family)))
            }
        }
    }

    /// Begins to connect. Once more may do no harm: the system knows what is under way.
    fn connect(&mut self, base: &Base, address: Address) -> Attempt<()> {
        let socket = base.socket();
        let is_unix = !matches!(address, Address::Ip(_));
        let outcome = sock_addr(&address).and_then(|to| SockRef::from(&socket).connect(&to));
        let error = match outcome {
            Ok(()) => return Attempt::Done(()),
            Err(error) => error,
        };
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::INPROGRESS | Errno::INTR | Errno::ALREADY) => {
                self.stage = Stage::Connecting(address);
                Attempt::Blocked
            }
            // Nothing is under way: the server's queue is full, and readiness says nothing about that.
            Some(Errno::AGAIN) if is_unix => {
                self.stage = Stage::Found(address);
                let retry = self.retry;
                self.retry = (retry * 2).min(LAST_RETRY);
                Attempt::Later(retry)
            }
            _ => Attempt::Failed(error.into()),
        }
    }
}

impl Work for Connect {
    type Output = ();
    const NAME: &'static str = "sock_connect";
    const DIRECTION: Direction = Direction::Write;

    fn attempt(&mut self, base: &Base) -> Attempt<()> {
        match std::mem::replace(&mut self.stage, Stage::New) {
            Stage::New => match self.begin(base) {
                Ok(Stage::LookUp(look_up)) => {
                    let found = when_done(base, &look_up);
                    self.stage = Stage::LookUp(look_up);
                    Attempt::After(found)
                }
                Ok(stage) => {
                    self.stage = stage;
                    self.attempt(base)
                }
                Err(error) => Attempt::Failed(error.into()),
            },
            Stage::LookUp(look_up) if !look_up.done() => {
                // It was cancelled, and is awaited again.
                let found = when_done(base, &look_up);
                self.stage = Stage::LookUp(look_up);
                Attempt::After(found)
            }
            Stage::LookUp(look_up) => match look_up.take() {
                // One socket, one address: the resolver's first.
                Ok(found) => match found.first() {
                    Some(first) => self.connect(base, Address::Ip(*first)),
                    None => Attempt::Failed(io::Error::from(io::ErrorKind::NotFound).into()),
                },
                Err(exception) => Attempt::Failed(exception),
            },
            Stage::Found(address) => self.connect(base, address),
            Stage::Connecting(address) => match SockRef::from(&base.socket()).take_error() {
                // Asked again, the system says what became of it.
                Ok(None) => match self.connect(base, address) {
                    Attempt::Failed(error) if is_connected(&error) => Attempt::Done(()),
                    other => other,
                },
                Ok(Some(error)) | Err(error) => Attempt::Failed(error.into()),
            },
        }
    }

    fn target(&self) -> Option<String> {
        Some(self.target.to_string())
    }
}

impl Drop for Connect {
    fn drop(&mut self) {
        if let Stage::LookUp(look_up) = &self.stage {
            look_up.cancel();
        }
    }
}

fn is_connected(error: &Exception) -> bool {
    let code = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    code == Some(Errno::ISCONN.raw_os_error())
}
