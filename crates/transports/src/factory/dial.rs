//! [`Dial`]: where a connector connects to, as often as it is asked to.

use super::Made;
use crate::connect::{FactoryOnce, create_connection, create_unix_connection};
use crate::stream_transport::Opened;
use crate::{Address, ConnectOptions, UnixConnectOptions};
use eventloop::AbstractEventLoop;
use futures::SchedulerExt;
use std::cell::Cell;
use std::io;

/// Where to connect to.
pub(crate) enum Dial {
    Tcp(ConnectOptions),
    Unix(UnixConnectOptions),
}

/// The same, to be used several times.
pub(super) struct Redial {
    /// `None` once a socket was used, which connects only once.
    dial: Cell<Option<Dial>>,
}

impl Redial {
    pub(super) fn new(dial: Dial) -> Self {
        Self { dial: Cell::new(Some(dial)) }
    }

    /// Begins to connect. `build` makes the protocol.
    pub(super) fn dial(
        &self,
        event_loop: &dyn AbstractEventLoop,
        build: impl FnOnce(&Address) -> Made + 'static,
    ) -> Opened {
        let build: FactoryOnce = Box::new(build);
        match self.dial.take() {
            Some(Dial::Tcp(options)) => {
                self.dial.set(options.again().map(Dial::Tcp));
                create_connection(event_loop, build, options)
            }
            Some(Dial::Unix(options)) => {
                self.dial.set(options.again().map(Dial::Unix));
                create_unix_connection(event_loop, build, options)
            }
            None => {
                let future: Opened = event_loop.create_future();
                let message = "the connector was given a socket, which can be used only once";
                // It is new, hence pending.
                let _ = future.set_exception(io::Error::new(io::ErrorKind::InvalidInput, message));
                future
            }
        }
    }
}
