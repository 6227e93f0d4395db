//! [`Watcher`]: the system tells of changes of files (inotify, Linux).
//!
//! One descriptor for any number of paths, a source of the loop like any other. What it tells waits in
//! a queue; when that is full nothing is read any more, and the system's own queue, which is bounded
//! too, says [`Change::Overflow`] when it has lost something (R-4).

use eventloop::{AbstractEventLoop, Direction, Interest, Source, SourceKey, SourceKind, Taken};
use futures::{Exception, Future, SchedulerExt};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::num::NonZeroU32;
use std::ops::BitOr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

/// Tells of changes of files and folders. Dropping it ends all of its watches.
///
/// # Examples
/// ```
/// use eventloop::{EventLoop, current, prelude::*};
/// use tulipa_transports::files::{Change, Changes, FileLoop, Watcher};
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path().to_owned();
/// let event_loop = EventLoop::new()?;
/// let watcher = Watcher::new(&*event_loop.handle())?;
/// watcher.add(&folder, Changes::MOVED_TO)?;
/// let event = event_loop.run_coroutine(async move {
///     current().write_file_atomically(folder.join("news"), "tulip").await?;
///     watcher.next().await
/// })?;
/// assert_eq!((event.change, event.name.unwrap()), (Change::MovedTo, "news".into()));
/// # Ok::<(), futures::Exception>(())
/// ```
pub struct Watcher {
    inner: Rc<Inner>,
}

/// What the loop watches.
struct Inner {
    event_loop: Rc<dyn AbstractEventLoop>,
    descriptor: OwnedFd,
    key: Cell<Option<SourceKey>>,
    events: RefCell<VecDeque<FileEvent>>,
    waiting: RefCell<Vec<Future<()>>>,
    failure: RefCell<Option<Exception>>,
    /// Nothing is read, because nobody takes what came.
    held: Cell<bool>,
}

/// So many events wait; then the system keeps them.
const MOST_EVENTS: usize = 1024;
/// One read takes so much: some 100 events with names of usual length.
const BUFFER: usize = 8 * 1024;

/// A path that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchId(i32);

/// Which changes are to be told. They are combined with `|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changes(WatchFlags);

impl Changes {
    /// The content changed: written, or cut.
    pub const MODIFIED: Self = Self(WatchFlags::MODIFY);
    /// Permissions, times or the number of names changed.
    pub const ATTRIBUTES: Self = Self(WatchFlags::ATTRIB);
    /// Somebody who had it open for writing closed it.
    pub const WRITTEN: Self = Self(WatchFlags::CLOSE_WRITE);
    /// Something was made in the folder.
    pub const CREATED: Self = Self(WatchFlags::CREATE);
    /// Something was removed from the folder.
    pub const DELETED: Self = Self(WatchFlags::DELETE);
    /// Something was moved out of the folder, or got another name in it.
    pub const MOVED_FROM: Self = Self(WatchFlags::MOVED_FROM);
    /// Something was moved into the folder, or got another name in it.
    pub const MOVED_TO: Self = Self(WatchFlags::MOVED_TO);
    /// The watched thing itself was removed.
    pub const SELF_DELETED: Self = Self(WatchFlags::DELETE_SELF);
    /// The watched thing itself was moved.
    pub const SELF_MOVED: Self = Self(WatchFlags::MOVE_SELF);
    /// All of these.
    pub const ALL: Self = Self(
        WatchFlags::MODIFY
            .union(WatchFlags::ATTRIB)
            .union(WatchFlags::CLOSE_WRITE)
            .union(WatchFlags::CREATE)
            .union(WatchFlags::DELETE)
            .union(WatchFlags::MOVE)
            .union(WatchFlags::DELETE_SELF)
            .union(WatchFlags::MOVE_SELF),
    );
}

impl BitOr for Changes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// See [`Changes::MODIFIED`].
    Modified,
    /// See [`Changes::ATTRIBUTES`].
    Attributes,
    /// See [`Changes::WRITTEN`].
    Written,
    /// See [`Changes::CREATED`].
    Created,
    /// See [`Changes::DELETED`].
    Deleted,
    /// See [`Changes::MOVED_FROM`].
    MovedFrom,
    /// See [`Changes::MOVED_TO`].
    MovedTo,
    /// See [`Changes::SELF_DELETED`].
    SelfDeleted,
    /// See [`Changes::SELF_MOVED`].
    SelfMoved,
    /// What it was on is not mounted any more.
    Unmounted,
    /// The watch has ended: it was removed, or the thing is gone. Nothing more comes of it.
    Ended,
    /// More happened than could be kept: look at everything anew.
    Overflow,
}

/// A change of what is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileEvent {
    /// Which watch tells it; `None` for [`Change::Overflow`].
    pub watch: Option<WatchId>,
    /// What happened.
    pub change: Change,
    /// To what in the folder; `None` if it is the watched thing itself.
    pub name: Option<OsString>,
    /// Whether that is a folder.
    pub is_folder: bool,
    /// The same for the two halves of one move.
    pub cookie: Option<NonZeroU32>,
}

impl Watcher {
    /// A watcher of nothing yet.
    ///
    /// # Errors
    /// What the system says (there may be only so many for each user), or that the loop is closed.
    pub fn new(event_loop: &dyn AbstractEventLoop) -> io::Result<Self> {
        let descriptor = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let inner = Rc::new(Inner {
            event_loop: event_loop.to_event_loop(),
            descriptor,
            key: Cell::new(None),
            events: RefCell::default(),
            waiting: RefCell::default(),
            failure: RefCell::default(),
            held: Cell::new(false),
        });
        let key = event_loop.watch(inner.clone(), Interest::READ)?;
        inner.key.set(Some(key));
        Ok(Self { inner })
    }

    /// Watches a file, or a folder with what is in it (but not in the folders below). Symbolic links
    /// are followed. A path that names what is watched already gives the same watch, with the
    /// changes that are given now.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn add(&self, path: impl AsRef<Path>, changes: Changes) -> io::Result<WatchId> {
        let path = path.as_ref();
        match inotify::add_watch(&self.inner.descriptor, path, changes.0) {
            Ok(number) => Ok(WatchId(number)),
            Err(error) => {
                let attempt = super::Attempt { operation: "watch", path: path.to_owned() };
                Err(super::describe(attempt, error.into()))
            }
        }
    }

    /// Ends a watch, and says whether it was there. What it told before still comes, then
    /// [`Change::Ended`].
    pub fn remove(&self, watch: WatchId) -> bool {
        inotify::remove_watch(&self.inner.descriptor, watch.0).is_ok()
    }

    /// The next event. Giving up the wait loses none.
    ///
    /// # Errors
    /// What the system says, or the cancellation.
    pub async fn next(&self) -> Result<FileEvent, Exception> {
        loop {
            if let Some(event) = self.try_next()? {
                return Ok(event);
            }
            self.ready().await?;
        }
    }

    /// The next event, if there is one already.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_next(&self) -> Result<Option<FileEvent>, Exception> {
        let event = self.inner.events.borrow_mut().pop_front();
        if self.inner.events.borrow().is_empty() && self.inner.held.replace(false) {
            self.inner.watch(Interest::READ)?;
        }
        match (event, self.inner.failure.borrow().clone()) {
            (None, Some(failure)) => Err(failure),
            (event, _) => Ok(event),
        }
    }

    /// A future that is done when there is an event to be taken.
    pub fn ready(&self) -> Future<()> {
        let future = self.inner.event_loop.create_future();
        if !self.inner.events.borrow().is_empty() || self.inner.failure.borrow().is_some() {
            // It is new, hence pending.
            let _ = future.set_result(());
        } else {
            let given_up =
                crate::loop_shared::add_waiting(&mut self.inner.waiting.borrow_mut(), &future);
            drop(given_up); // what they hold is the user's
        }
        future
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(key) = self.inner.key.take() {
            drop(self.inner.event_loop.unwatch(key));
        }
        for future in self.inner.waiting.take() {
            future.cancel();
        }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watcher({} events wait)", self.inner.events.borrow().len())
    }
}

impl Inner {
    fn watch(&self, interest: Interest) -> io::Result<()> {
        match self.key.get() {
            Some(key) => self.event_loop.set_interest(key, interest),
            None => Ok(()),
        }
    }

    /// Takes in what the system tells now, as far as there is room.
    fn read(&self) -> Result<(), Errno> {
        let mut buffer = [const { MaybeUninit::uninit() }; BUFFER];
        let mut reader = inotify::Reader::new(&self.descriptor, &mut buffer);
        loop {
            // What one read gave is taken whole: what is left in the buffer would be lost.
            if reader.is_buffer_empty() && self.events.borrow().len() >= MOST_EVENTS {
                self.held.set(true);
                return Ok(());
            }
            match reader.next() {
                Ok(event) => {
                    let event = FileEvent::read(&event);
                    self.events.borrow_mut().extend(event);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

impl FileEvent {
    /// `None` for what nobody asked for.
    fn read(event: &inotify::Event<'_>) -> Option<Self> {
        let flags = event.events();
        let (_, change) = CHANGES.iter().find(|(flag, _)| flags.contains(*flag))?;
        let watch = (*change != Change::Overflow).then_some(WatchId(event.wd()));
        let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()).to_owned());
        let is_folder = flags.contains(ReadFlags::ISDIR);
        let cookie = NonZeroU32::new(event.cookie());
        Some(Self { watch, change: *change, name, is_folder, cookie })
    }
}

const CHANGES: [(ReadFlags, Change); 12] = [
    (ReadFlags::QUEUE_OVERFLOW, Change::Overflow),
    (ReadFlags::IGNORED, Change::Ended),
    (ReadFlags::UNMOUNT, Change::Unmounted),
    (ReadFlags::MODIFY, Change::Modified),
    (ReadFlags::ATTRIB, Change::Attributes),
    (ReadFlags::CLOSE_WRITE, Change::Written),
    (ReadFlags::CREATE, Change::Created),
    (ReadFlags::DELETE, Change::Deleted),
    (ReadFlags::MOVED_FROM, Change::MovedFrom),
    (ReadFlags::MOVED_TO, Change::MovedTo),
    (ReadFlags::DELETE_SELF, Change::SelfDeleted),
    (ReadFlags::MOVE_SELF, Change::SelfMoved),
];

impl Source for Inner {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    fn ready(self: Rc<Self>, _direction: Direction) -> Taken {
        let outcome = self.read().map_err(io::Error::from);
        let outcome = outcome.and_then(|()| match self.held.get() {
            true => self.watch(Interest::NONE),
            false => Ok(()),
        });
        if let Err(error) = outcome {
            *self.failure.borrow_mut() = Some(error.into());
            // Nothing could be done about it in another turn: nothing is watched any more (R-3).
            if let Err(error) = self.watch(Interest::NONE) {
                log::debug!(target: "tulipa", "{}: {error}", self.describe());
            }
        }
        if self.events.borrow().is_empty() && self.failure.borrow().is_none() {
            return Taken::Unknown;
        }
        for future in self.waiting.take() {
            // One that was cancelled waits no more.
            let _ = future.set_result(());
        }
        Taken::Unknown
    }

    fn kind(&self) -> SourceKind {
        SourceKind::Transport
    }

    fn describe(&self) -> String {
        "watcher of files".to_owned()
    }
}
