//! [`Intake`]: the way for other threads to give a connection to a server of this loop.
//!
//! What travels is the socket, owned. So it is closed exactly once, also if the loop closes before it
//! comes to it. The server is found by its number, since it never leaves its thread.

use crate::StreamSocket;
use crate::loop_shared::LoopShared;
use eventloop::ThreadsafeHandle;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Gives connections to a server of another loop, from any thread: the one who accepted a connection, or
/// who has one to pass on, need not be the one who serves it.
///
/// Made by [`Server::intake`](crate::Server::intake). Cheap to clone, and inert once the server's loop is
/// closed.
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, prelude::*};
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// use tulipa_transports::prelude::*;
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) {
/// #         transport.write(data);
/// #     }
/// # }
/// let event_loop = EventLoop::new()?;
/// let server = event_loop.create_server(|| Echo, ("127.0.0.1", 0)).result()?;
/// let (intake, stopper) = (server.intake(), event_loop.threadsafe_handle());
/// let client = std::thread::spawn(move || {
///     let (mut ours, theirs) = UnixStream::pair().unwrap();
///     intake.give(theirs).unwrap();
///     ours.write_all(b"tulip").unwrap();
///     let mut answer = [0; 5];
///     ours.read_exact(&mut answer).unwrap();
///     stopper.stop();
///     answer
/// });
/// event_loop.run_forever()?;
/// assert_eq!(client.join().unwrap(), *b"tulip");
/// # Ok::<(), futures::Exception>(())
/// ```
#[derive(Clone)]
pub struct Intake {
    shared: Arc<Shared>,
}

struct Shared {
    event_loop: ThreadsafeHandle,
    server: u64,
    /// Connections that the server has, in the lower half, and that are on the way to it, in the upper one. In
    /// one word, so that a connection that arrives is in neither or both halves at no time.
    load: AtomicU64,
    /// The one that arrives now is not counted among the open ones yet. Only the server's thread uses this.
    arriving: AtomicBool,
}

/// One connection on the way, in [`Shared::load`].
const COMING: u64 = 1 << 32;

impl Intake {
    pub(super) fn new(event_loop: ThreadsafeHandle, server: u64) -> Self {
        let (load, arriving) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { shared: Arc::new(Shared { event_loop, server, load, arriving }) }
    }

    /// Gives a connection away. The server's loop makes its protocol, as for one that the server
    /// accepted itself, in a turn of its own; a server that is closed by then closes it.
    ///
    /// # Errors
    /// [`GiveError`] gives the socket back if the loop is closed.
    #[track_caller]
    pub fn give(&self, socket: impl Into<StreamSocket>) -> Result<(), GiveError> {
        // What a closed loop gives back is a closure that cannot be opened, so the socket lies beside it.
        let parcel = Arc::new(Mutex::new(Some(socket.into())));
        let on_the_way = OnTheWay::begin(&self.shared);
        let arriving = parcel.clone();
        let posted = self.shared.event_loop.call_soon_threadsafe(move || {
            if let Some(socket) = open_parcel(&arriving) {
                on_the_way.arrive(socket);
            }
        });
        match posted {
            Ok(_) => Ok(()),
            Err(_) => open_parcel(&parcel).map_or(Ok(()), |socket| Err(GiveError::closed(socket))),
        }
    }

    /// How many connections the server has, those on the way included. Of interest to whoever wants to
    /// give the next one to the server that has least to do; a moment later it may be another number.
    pub fn load(&self) -> usize {
        let load = self.shared.load.load(Relaxed);
        (load % COMING + load / COMING) as usize
    }

    /// How many connections are on the way to the server.
    pub fn coming(&self) -> usize {
        (self.shared.load.load(Relaxed) / COMING) as usize
    }

    /// Whether the loop is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.event_loop.is_closed()
    }

    /// On the server's thread: so many connections are open. That may be because one has arrived, which then
    /// is on the way no more.
    pub(crate) fn set_open(&self, count: usize) {
        let arrived = COMING * u64::from(self.shared.arriving.swap(false, Relaxed));
        let open = (count as u64).min(COMING - 1);
        let changed = |load: u64| Some(load - load % COMING - arrived + open);
        let _ = self.shared.load.fetch_update(Relaxed, Relaxed, changed);
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Intake({} connections)", self.load())
    }
}

type Parcel = Mutex<Option<StreamSocket>>;

fn open_parcel(parcel: &Parcel) -> Option<StreamSocket> {
    // Nothing that can panic is done under the mutex.
    parcel.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// One connection that is on the way, counted.
struct OnTheWay {
    shared: Arc<Shared>,
    /// It is there, and being taken in.
    arrives: bool,
}

impl OnTheWay {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.load.fetch_add(COMING, Relaxed);
        Self { shared: shared.clone(), arrives: false }
    }

    /// On the loop's thread: the server takes the connection in, if it is still there.
    fn arrive(mut self, socket: StreamSocket) {
        let event_loop = eventloop::current();
        let Some(server) = LoopShared::of(&*event_loop).server(self.shared.server) else {
            log::debug!(target: "tulipa", "a connection was given to a server that is gone");
            return;
        };
        self.arrives = true;
        self.shared.arriving.store(true, Relaxed);
        server.take_over(socket);
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        let is_counted_as_open = self.arrives && !self.shared.arriving.swap(false, Relaxed);
        if !is_counted_as_open {
            self.shared.load.fetch_sub(COMING, Relaxed);
        }
    }
}

/// A connection that could not be given away. The socket is still there.
pub struct GiveError {
    socket: StreamSocket,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// The loop is closed.
    Closed,
    /// As many are on the way to everybody as may be.
    Busy,
}

impl GiveError {
    pub(crate) fn closed(socket: StreamSocket) -> Self {
        Self { socket, reason: Reason::Closed }
    }

    pub(crate) fn busy(socket: StreamSocket) -> Self {
        Self { socket, reason: Reason::Busy }
    }

    /// The connection that was not given away.
    pub fn into_socket(self) -> StreamSocket {
        self.socket
    }

    /// Whether somebody is there, but has too many that wait already.
    pub fn is_busy(&self) -> bool {
        self.reason == Reason::Busy
    }
}

impl fmt::Display for GiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            Reason::Closed => "cannot give a connection away: the server's loop is closed",
            Reason::Busy => "cannot give a connection away: too many are on the way already",
        })
    }
}

impl fmt::Debug for GiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GiveError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl Error for GiveError {}
